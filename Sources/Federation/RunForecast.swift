/// What a run is expected to send, keep and compute: estimates, made before anything is started. Everything is of one worker
/// unless it says otherwise.
public struct RunForecast: Sendable, Equatable, Codable {
    /// Multiply-accumulates of one round.
    public struct Work: Sendable, Equatable, Codable {
        /// For each sample of the worker's training shard and of its test shard, and beside them.
        public var eachTrainingSample: Double
        public var eachTestSample: Double
        public var fixed: Double

        public init(eachTrainingSample: Double = 0, eachTestSample: Double = 0, fixed: Double = 0) {
            (self.eachTrainingSample, self.eachTestSample, self.fixed) = (eachTrainingSample, eachTestSample, fixed)
        }

        public static func + (a: Work, b: Work) -> Work {
            Work(
                eachTrainingSample: a.eachTrainingSample + b.eachTrainingSample,
                eachTestSample: a.eachTestSample + b.eachTestSample, fixed: a.fixed + b.fixed)
        }

        public func total(trainingSamples: Int, testSamples: Int) -> Double {
            eachTrainingSample * Double(trainingSamples) + eachTestSample * Double(testSamples) + fixed
        }
    }

    /// All rounds of one task in a stage, added up.
    public struct Rounds: Sendable, Equatable, Codable {
        public var task: String
        public var count: Int
        public var bytesUp: Int
        public var bytesDown: Int
        public var work: Work

        public init(task: String, count: Int = 0, bytesUp: Int = 0, bytesDown: Int = 0, work: Work = Work()) {
            (self.task, self.count, self.bytesUp, self.bytesDown) = (task, count, bytesUp, bytesDown)
            self.work = work
        }
    }

    public struct Stage: Sendable, Equatable, Codable {
        public var kind: String
        /// In the order in which the tasks first come.
        public var rounds: [Rounds]
        /// Of the model at its end. Masked weights count as parameters.
        public var parameters: Int
        public var macs: Int?
        /// Share of all parameters that a mask has taken.
        public var deadShare: Double
        /// Of the compact file that it writes; nil where it writes none.
        public var fileBytes: Int?

        public init(
            kind: String, rounds: [Rounds] = [], parameters: Int = 0, macs: Int? = nil, deadShare: Double = 0,
            fileBytes: Int? = nil
        ) {
            (self.kind, self.rounds, self.parameters, self.macs) = (kind, rounds, parameters, macs)
            (self.deadShare, self.fileBytes) = (deadShare, fileBytes)
        }

        public var bytesUp: Int { rounds.reduce(0) { $0 + $1.bytesUp } }
        public var bytesDown: Int { rounds.reduce(0) { $0 + $1.bytesDown } }
        public var work: Work { rounds.reduce(Work()) { $0 + $1.work } }
    }

    /// The model that the run begins with.
    public var source: String
    public var parameters: Int
    public var macs: Int?
    public var modelBytes: Int
    public var stages: [Stage]
    /// Workers that every round is counted with.
    public var workers: Int
    /// What averaging the same training rounds in float32 would send, both ways, the whole fleet.
    public var bytesFloat32: Int
    /// Roughly, on the large side.
    public var coordinatorMemoryBytes: Int
    public var workerMemoryBytes: Int
    public var coordinatorDiskBytes: Int
    public var workerDiskBytes: Int
    /// What the figures leave out or take for granted, a sentence each.
    public var remarks: [String]

    public init(
        source: String, parameters: Int, macs: Int?, modelBytes: Int, stages: [Stage], workers: Int,
        bytesFloat32: Int = 0, coordinatorMemoryBytes: Int = 0, workerMemoryBytes: Int = 0,
        coordinatorDiskBytes: Int = 0, workerDiskBytes: Int = 0, remarks: [String] = []
    ) {
        (self.source, self.parameters, self.macs, self.modelBytes) = (source, parameters, macs, modelBytes)
        (self.stages, self.workers, self.bytesFloat32) = (stages, workers, bytesFloat32)
        (self.coordinatorMemoryBytes, self.workerMemoryBytes) = (coordinatorMemoryBytes, workerMemoryBytes)
        (self.coordinatorDiskBytes, self.workerDiskBytes) = (coordinatorDiskBytes, workerDiskBytes)
        self.remarks = remarks
    }

    public var rounds: Int { stages.reduce(0) { $0 + $1.rounds.reduce(0) { $0 + $1.count } } }
    /// Of the whole fleet.
    public var bytesUp: Int { workers * stages.reduce(0) { $0 + $1.bytesUp } }
    public var bytesDown: Int { workers * stages.reduce(0) { $0 + $1.bytesDown } }
    public var work: Work { stages.reduce(Work()) { $0 + $1.work } }
}

/// How long a run's workers compute: work over speed. Waiting, transfers and what the coordinator computes are not in it.
public struct RunDuration: Sendable, Equatable, Codable {
    public enum Basis: String, Sendable, Equatable, Codable {
        /// A training step was timed on this machine,
        case measured
        /// the rate was given,
        case given
        /// or it is what one thread of a recent processor does.
        case assumed
    }

    /// Multiply-accumulates a second that one thread is assumed to do.
    public static let assumedRate = 1e10

    public var basis: Basis
    /// Multiply-accumulates a second of one worker.
    public var rate: Double
    public var trainingSamples: Int
    public var testSamples: Int
    /// Of each stage.
    public var seconds: [Double]

    public init(
        of forecast: RunForecast, basis: Basis, rate: Double, trainingSamples: Int, testSamples: Int
    ) {
        precondition(rate > 0, "a machine that computes nothing")
        (self.basis, self.rate) = (basis, rate)
        (self.trainingSamples, self.testSamples) = (trainingSamples, testSamples)
        seconds = forecast.stages.map {
            $0.work.total(trainingSamples: trainingSamples, testSamples: testSamples) / rate
        }
    }

    public var total: Double { seconds.reduce(0, +) }
}
