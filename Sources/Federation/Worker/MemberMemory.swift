/// What a worker keeps as a member of an ensemble. Like the residual it advances only with contributions that counted, so a
/// task that is run again gives the same bytes.
public struct MemberMemory: Sendable, Equatable, Codable {
    /// Its model's parameters after `trainedRound`: of its own student, or of its own version of the run's model.
    public var model: Digest?
    public var trainedRound: Int?
    /// The container of logits that it sent last.
    public var logits: Digest?

    public init(model: Digest? = nil, trainedRound: Int? = nil, logits: Digest? = nil) {
        self.model = model
        self.trainedRound = trainedRound
        self.logits = logits
    }

    /// The blobs it names.
    public var blobs: [Digest] { [model, logits].compactMap(\.self) }
}
