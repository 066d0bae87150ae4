/// What the worker is doing.
enum WorkerPhase: Sendable, Equatable {
    case offline
    case greeting
    case idle
    case preparing(TaskOffer, awaited: Set<Digest>)
    case running(TaskOffer)
    case submitting
    case ended
}
