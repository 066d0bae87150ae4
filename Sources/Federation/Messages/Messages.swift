/// Versions of the session protocol that this build speaks.
public let supportedProtocolVersions: ClosedRange<UInt32> = 6...6

/// What a worker tells of itself when a session begins.
public struct Hello: Sendable, Equatable {
    public var minimumVersion: UInt32
    public var maximumVersion: UInt32
    public var software: String
    public var trainingSamples: Int
    public var testSamples: Int
    public var classes: Int
    public var sampleShape: [Int]
    public var threads: Int
    /// How wide a model it can train, as a share of the channels: above 0, at most 1.
    public var strength: Double
    /// What it has of the samples that all workers of an ensemble share; nil without.
    public var publicSet: PublicSetName?
    /// Parameters of the model of its own that it brings to an ensemble; 0 when it has none.
    public var studentParameters: Int
    /// Its outputs, where they are fixed; nil without it, and for one that is built for the run.
    public var studentClasses: Int?
    /// The classes that a teacher of its own tells apart; nil where it brings none.
    public var teacherClasses: Int?

    public init(
        minimumVersion: UInt32 = supportedProtocolVersions.lowerBound,
        maximumVersion: UInt32 = supportedProtocolVersions.upperBound, software: String, trainingSamples: Int,
        testSamples: Int = 0, classes: Int, sampleShape: [Int], threads: Int, strength: Double = 1,
        publicSet: PublicSetName? = nil, studentParameters: Int = 0, studentClasses: Int? = nil,
        teacherClasses: Int? = nil
    ) {
        self.minimumVersion = minimumVersion
        self.maximumVersion = maximumVersion
        self.software = software
        self.trainingSamples = trainingSamples
        self.testSamples = testSamples
        self.classes = classes
        self.sampleShape = sampleShape
        self.threads = threads
        self.strength = strength
        self.publicSet = publicSet
        self.studentParameters = studentParameters
        self.studentClasses = studentClasses
        self.teacherClasses = teacherClasses
    }
}

/// What a worker measured while it did a task. Sums, not means, so that they fold.
public struct TaskMetrics: Sendable, Equatable, Codable {
    /// The weight of the contribution: samples of the shard the task ran on.
    public var samples: Int
    public var lossSum: Double
    public var correct: Int
    /// Targets behind `lossSum` and `correct`: samples, or the tokens and values of samples that have several.
    public var measured: Int
    /// Reads that found a sample damaged, which then was left out; a sample counts each time.
    public var damaged: Int
    /// Of training: how far the steps moved the weights for each unit of a gradient that stays the same; without momentum
    /// the sum of their learning rates.
    public var reach: Double
    /// Time from the offer until the task's inputs were there, and of the work itself.
    public var fetchSeconds: Double
    public var seconds: Double
    public var peakBytes: Int
    public var residualNorm: Double
    public var density: Double
    public var bitsPerWeight: Double

    public init(
        samples: Int, lossSum: Double = 0, correct: Int = 0, measured: Int = 0, damaged: Int = 0, reach: Double = 0,
        fetchSeconds: Double = 0, seconds: Double = 0, peakBytes: Int = 0, residualNorm: Double = 0,
        density: Double = 1, bitsPerWeight: Double = 32
    ) {
        self.samples = samples
        self.lossSum = lossSum
        self.correct = correct
        self.measured = measured
        self.damaged = damaged
        self.reach = reach
        self.fetchSeconds = fetchSeconds
        self.seconds = seconds
        self.peakBytes = peakBytes
        self.residualNorm = residualNorm
        self.density = density
        self.bitsPerWeight = bitsPerWeight
    }
}

/// A finished task, offered to the coordinator.
public struct Submission: Sendable, Equatable, Codable {
    public var round: Int
    /// nil for tasks that yield metrics only.
    public var blob: BlobReference?
    public var metrics: TaskMetrics
    /// Share of the channels of the model that was trained, as the task said it; nil is the whole model.
    public var width: Double?

    public init(round: Int, blob: BlobReference?, metrics: TaskMetrics, width: Double? = nil) {
        self.round = round
        self.blob = blob
        self.metrics = metrics
        self.width = width
    }
}

/// What a worker sends.
public enum WorkerMessage: Sendable, Equatable {
    case hello(Hello)
    case ready(held: [Digest])
    case heartbeat(round: Int?, progress: Double)
    case submission(Submission)
    case decline(round: Int, reason: String)
    case goodbye(reason: String)
    /// Whether a hello would be welcome; no session begins or ends by it.
    case inquiry(Hello)
}

/// Why a coordinator will not go on with a session.
public enum RefusalCode: Int, Sendable, Equatable {
    case version = 1
    case unknownSession = 2
    case data = 3
    case limit = 4
    case malformed = 5
}

/// What a coordinator sends.
public enum CoordinatorMessage: Sendable, Equatable {
    case welcome(version: UInt32, run: String, heartbeatSeconds: Double, acceptedRounds: Int)
    case refusal(RefusalCode, reason: String)
    case task(TaskOffer)
    case wait(reason: String)
    case verdict(round: Int, accepted: Bool, reason: String)
    case withdrawal(round: Int, reason: String)
    case finished(succeeded: Bool, reason: String)
}

/// Bytes that are not a valid message, and what is wrong with them.
public struct MessageError: Error, Equatable, Sendable, CustomStringConvertible {
    public var description: String

    public init(_ description: String) { self.description = description }
}

/// Finite bounds on everything a message may declare (documented in `protocols/session.md`). They hold whatever a plan
/// may say: a test sends every plan's extremes through them.
public enum MessageLimits {
    public static let messageBytes = 1 << 20
    public static let textBytes = 1024
    public static let heldSnapshots = 1024
    public static let routeLength = 256
    /// Changes that an offer tells of; a run has at most as many (`Plan`).
    public static let changes = 4096
    public static let excludedNames = 256
    /// Of one student.
    public static let teachers = 8
    /// Of one measure.
    public static let featurePairs = 64
    public static let valueNameBytes = 256
    public static let shapeRank = 8
    public static let blobBytes = 4 << 30
    /// A set of second moments (`Compression.MomentSet.byteLimit`).
    public static let momentsBytes = 72 << 20
    public static let count = 1 << 40
    public static let heartbeatSeconds = 0.001...86_400.0
    public static let leaseSeconds = 0.001...864_000.0
    public static let temperature = Double.leastNonzeroMagnitude...1000
    /// Of a task, and of a round's mean.
    public static let reach = 0...1e12
}
