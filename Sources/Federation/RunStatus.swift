/// What `pleach status`, the status page and `/metrics` show: derived from the machine, or from the ledger alone.
public struct RunStatus: Sendable, Equatable, Codable {
    public struct Worker: Sendable, Equatable, Codable {
        public var name: String
        /// `ready`, `working`, `contributed`, `late`, `lost`, or `left`: it said goodbye, or was told that the run is over.
        public var state: String
        /// Since its last sign of life; nil when this coordinator has not heard of it.
        public var secondsSinceSeen: Double?
        public var samples: Int?
        /// What it does for the open round; nil when it is asked for nothing.
        public var task: TaskProgress?
        /// Since it was given that task.
        public var taskSeconds: Double?

        public init(
            name: String, state: String, secondsSinceSeen: Double? = nil, samples: Int? = nil,
            task: TaskProgress? = nil,
            taskSeconds: Double? = nil
        ) {
            self.name = name
            self.state = state
            self.secondsSinceSeen = secondsSinceSeen
            self.samples = samples
            self.task = task
            self.taskSeconds = taskSeconds
        }

        /// Whether an open round still waits for it.
        public var isAwaited: Bool { state != "contributed" && state != "left" }
    }

    /// How far a worker has come with its task.
    public struct TaskProgress: Sendable, Equatable, Codable {
        /// `fetching` its inputs, `working`, `uploading` its result, or the result is being `examined`.
        public var doing: String
        /// 0 to 1, as the worker tells it; of a transfer the part that is here.
        public var fraction: Double
        /// Of a transfer: what is here, and what is to come altogether.
        public var bytes: Int?
        public var ofBytes: Int?

        public init(doing: String, fraction: Double, bytes: Int? = nil, ofBytes: Int? = nil) {
            self.doing = doing
            self.fraction = fraction
            self.bytes = bytes
            self.ofBytes = ofBytes
        }
    }

    public struct Round: Sendable, Equatable, Codable {
        public var number: Int
        public var stage: Int
        public var kind: String
        public var task: String
        public var contributions: Int
        public var workers: Int
        public var quorum: Int
        public var ageSeconds: Double?
        public var deadlineSeconds: Double
        /// Names the round still waits for.
        public var missing: [String]

        public init(
            number: Int, stage: Int, kind: String, task: String, contributions: Int, workers: Int, quorum: Int,
            ageSeconds: Double?, deadlineSeconds: Double, missing: [String]
        ) {
            self.number = number
            self.stage = stage
            self.kind = kind
            self.task = task
            self.contributions = contributions
            self.workers = workers
            self.quorum = quorum
            self.ageSeconds = ageSeconds
            self.deadlineSeconds = deadlineSeconds
            self.missing = missing
        }
    }

    public var run: String
    public var plan: String
    /// `waiting`, `running`, `finished`, `failed`, `stopped`.
    public var state: String
    public var stage: Int
    public var stages: [String]
    public var round: Round?
    public var roundsCompleted: Int
    /// Of the whole plan; as many as were begun where a guard that tries again has made it more.
    public var roundsPlanned: Int
    public var contributionsAccepted: Int
    public var contributionsRefused: Int
    public var wireBytesUp: Int
    public var wireBytesDown: Int
    public var wireBytesFloat32: Int
    public var sparsity: Double
    public var accuracy: Double?
    public var snapshot: String?
    public var workers: [Worker]
    /// One sentence: what the run waits for now, or nil.
    public var waitingFor: String?

    public init(
        run: String, plan: String, state: String, stage: Int, stages: [String], round: Round?, roundsCompleted: Int,
        roundsPlanned: Int, contributionsAccepted: Int, contributionsRefused: Int, wireBytesUp: Int,
        wireBytesDown: Int, wireBytesFloat32: Int, sparsity: Double, accuracy: Double?, snapshot: String?,
        workers: [Worker], waitingFor: String?
    ) {
        self.run = run
        self.plan = plan
        self.state = state
        self.stage = stage
        self.stages = stages
        self.round = round
        self.roundsCompleted = roundsCompleted
        self.roundsPlanned = roundsPlanned
        self.contributionsAccepted = contributionsAccepted
        self.contributionsRefused = contributionsRefused
        self.wireBytesUp = wireBytesUp
        self.wireBytesDown = wireBytesDown
        self.wireBytesFloat32 = wireBytesFloat32
        self.sparsity = sparsity
        self.accuracy = accuracy
        self.snapshot = snapshot
        self.workers = workers
        self.waitingFor = waitingFor
    }
}
