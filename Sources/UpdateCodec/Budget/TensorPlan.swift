/// How one tensor shall be sent.
struct TensorPlan: Sendable, Equatable {
    enum Choice: Sendable, Hashable {
        case nothing
        /// All alive elements. Never ternary, whose own threshold is a count of largest magnitudes here.
        case dense(ValueFormat)
        /// Exactly `kept` alive elements of the largest magnitude, 1 <= kept < alive; none of them is 0.
        case largest(kept: Int, ValueFormat)
    }

    let choice: Choice
    /// Bytes the record never exceeds.
    let byteBound: Int
    /// Expected Σ(x − decoded x)² over the tensor.
    let expectedError: Double

    var format: ValueFormat? {
        switch choice {
        case .nothing: nil
        case .dense(let format), .largest(_, let format): format
        }
    }

    /// Values sent of `alive` ones.
    func kept(of alive: Int) -> Int {
        switch choice {
        case .nothing: 0
        case .dense: alive
        case .largest(let kept, _): kept
        }
    }
}
