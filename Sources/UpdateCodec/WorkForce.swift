import Dispatch

/// Threads that share out pieces of work. What they make depends on the pieces alone, never on their number.
struct WorkForce: Sendable {
    let threads: Int

    static let alone = WorkForce(threads: 1)

    init(threads: Int) { self.threads = max(1, threads) }

    /// The results of `body` for 0 ..< count, in order.
    func map<Result>(_ count: Int, _ body: (Int) -> Result) -> [Result] {
        guard threads > 1, count > 1 else { return (0..<count).map(body) }
        return withoutActuallyEscaping(body) { body in
            [Result](unsafeUninitializedCapacity: count) { buffer, filled in
                let work = Work(body: body, results: buffer)
                let hands = min(threads, count)
                DispatchQueue.concurrentPerform(iterations: hands) { hand in
                    // Pieces cost about the same, so dealing them out is fair.
                    for piece in stride(from: hand, to: count, by: hands) { work.run(piece) }
                }
                filled = count
            }
        }
    }

    /// The same for a body that can fail; the failure of the first piece that did is thrown.
    func tryMap<Value>(_ count: Int, _ body: (Int) throws(CodecError) -> Value) throws(CodecError) -> [Value] {
        let results = map(count) { (piece) -> Result<Value, CodecError> in
            do throws(CodecError) { return .success(try body(piece)) } catch { return .failure(error) }
        }
        var values: [Value] = []
        values.reserveCapacity(count)
        for result in results { values.append(try result.get()) }
        return values
    }

    /// Cuts 0 ..< count into at most `threads` ranges of whole multiples of `unit`, in order.
    func shares(of count: Int, unit: Int) -> [Range<Int>] {
        let units = (count + unit - 1) / unit
        let hands = max(1, min(threads, units))
        return (0..<hands).map { hand in
            units * hand / hands * unit..<min(count, units * (hand + 1) / hands * unit)
        }
    }

    /// Each piece writes its own element, so threads do not meet.
    private struct Work<Result>: @unchecked Sendable {
        let body: (Int) -> Result
        let results: UnsafeMutableBufferPointer<Result>

        func run(_ piece: Int) { results.initializeElement(at: piece, to: body(piece)) }
    }
}
