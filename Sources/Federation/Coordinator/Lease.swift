/// A worker's right to one task. It ends when the worker falls silent about it, and is late once it is older than the
/// plan's deadline: then another worker may be asked as well, and whoever is first wins.
struct Lease: Sendable, Equatable {
    /// How far the task has come.
    enum Progress: Sendable, Equatable {
        case working
        /// The result was offered and its blob is on its way.
        case fetching(Submission)
        /// The blob is here and waits for its examination.
        case arrived(Submission)
        case examining(Submission)
    }

    var session: SessionID
    /// The round of its task.
    let round: Int
    let assignedAt: Double
    /// When the task was sent last; minus infinity when the worker may not have it any more.
    var offeredAt: Double
    /// When the worker last said that it works on this task.
    var renewedAt: Double
    /// When its result was offered, and when the result's bytes were here.
    var submittedAt = 0.0
    var arrivedAt = 0.0
    /// The largest fraction of the work that was reported.
    var fraction = 0.0
    /// Of the result that is on its way.
    var receivedBytes = 0
    var progress = Progress.working

    init(session: SessionID, round: Int, at now: Double) {
        self.session = session
        self.round = round
        assignedAt = now
        offeredAt = now
        renewedAt = now
    }

    var isExamining: Bool { if case .examining = progress { true } else { false } }

    /// What was offered, if anything.
    var submission: Submission? {
        switch progress {
        case .working: nil
        case .fetching(let submission), .arrived(let submission), .examining(let submission): submission
        }
    }
}

/// What went wrong with a worker in the open round. It is asked again after a pause, a limited number of times.
struct Setback: Sendable, Equatable {
    var count = 0
    var reason = ""
    var retryAt = 0.0

    /// Notes one more failure: the pause doubles from one second to a minute.
    mutating func happened(_ reason: String, at now: Double) {
        self.reason = reason
        retryAt = now + min(60, Double(1 << min(count, 6)))
        count += 1
    }
}
