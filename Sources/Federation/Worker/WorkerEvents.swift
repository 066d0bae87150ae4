/// What a worker must remember across its own death, saved atomically.
public struct WorkerMemory: Sendable, Equatable, Codable {
    /// The run the rest belongs to; a new run starts afresh.
    public var run: String?
    /// What compression left out of the last accepted update; nil is all zero.
    public var residual: Digest?
    /// A finished task whose verdict is not known yet.
    public var pending: Pending?
    /// The newest round, plus one, in which a task of ours is known to have counted: no earlier task is done again, since
    /// the residual has moved on.
    public var settledRounds: Int
    /// What stands of its part in an ensemble; nil outside of one.
    public var member: MemberMemory?

    public struct Pending: Sendable, Equatable, Codable {
        public var submission: Submission
        /// The residual that stands if the submission is accepted.
        public var residual: Digest?
        /// Likewise.
        public var member: MemberMemory?

        public init(submission: Submission, residual: Digest?, member: MemberMemory? = nil) {
            self.submission = submission
            self.residual = residual
            self.member = member
        }
    }

    public init(
        run: String? = nil, residual: Digest? = nil, pending: Pending? = nil, settledRounds: Int = 0,
        member: MemberMemory? = nil
    ) {
        self.run = run
        self.residual = residual
        self.pending = pending
        self.settledRounds = settledRounds
        self.member = member
    }

    /// The contribution counted: what would follow from it does.
    mutating func settle(_ pending: Pending) {
        residual = pending.residual ?? residual
        member = pending.member ?? member
    }
}

/// How a worker's life ended.
public enum WorkerOutcome: Sendable, Equatable {
    case runFinished
    case stopped
    case refused(RefusalCode, reason: String)
    /// The connection can never work: the key is not allowed, or the server's key is another.
    case turnedAway(reason: String)
    case unreachable(reason: String)
    case failed(reason: String)
    /// Nothing can be stored any more; the worker goes on where it was once there is space.
    case diskFull(reason: String)
}

/// What can happen to a worker.
public enum WorkerEvent: Sendable, Equatable {
    case connected
    case disconnected(reason: String)
    case turnedAway(reason: String)
    case received(CoordinatorMessage)
    case malformed(reason: String)
    case blobArrived(Digest)
    case blobFailed(Digest, reason: String)
    /// A share of a blob has come, 0 to 1.
    case blobProgressed(share: Double)
    /// All inputs of the task are on disk; `snapshots` are those now held.
    case prepared(round: Int, snapshots: [Digest])
    /// Inputs that must be fetched before the task can start.
    case missing(round: Int, blobs: [BlobReference])
    case taskFinished(Submission, residual: Digest?, member: MemberMemory? = nil)
    case taskFailed(round: Int, reason: String)
    case diskFull(reason: String)
    case progressed(round: Int, fraction: Double)
    case ticked
    case stopRequested
}

/// What the shell must do, in order.
public enum WorkerAction: Sendable, Equatable {
    /// Durable: precedes the sends that follow it.
    case remember(WorkerMemory)
    case send(WorkerMessage)
    case fetch(BlobReference)
    /// Look for the task's inputs on disk, apply deltas; answered by `prepared`, `missing` or `taskFailed`.
    case prepare(TaskOffer)
    /// Run the task; answered by `taskFinished` or `taskFailed`.
    case run(TaskOffer, residual: Digest?, member: MemberMemory? = nil)
    case cancel(round: Int)
    case log(LogEvent)
    case finish(WorkerOutcome)
}
