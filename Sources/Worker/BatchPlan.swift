import Engine
import Tensors

/// The batches of one training task: whole shuffled passes and, for a fractional number of epochs, part of one more.
struct BatchPlan {
    let count: Int
    let batch: Int
    let epochs: Double
    let seed: UInt64

    /// Calls `body` with the sample indices of each batch and the fraction of the task done before it.
    func visit(_ body: (ArraySlice<Int>, Double) throws -> Void) throws {
        let total = max(1, Int((epochs * Double(count)).rounded()))
        var done = 0
        var pass = 0
        while done < total {
            var passSeed = SeededGenerator(seed: seed, labels: "pass", String(pass))
            let order = Dataset.shuffledOrder(count: count, seed: passSeed.next())
            var start = 0
            while start < count, done < total {
                let end = min(start + batch, count, start + total - done)
                // One sample alone has no batch statistics: leave it to the next pass.
                if end - start > 1 || count == 1 { try body(order[start..<end], Double(done) / Double(total)) }
                done += end - start
                start = end
            }
            pass += 1
        }
    }
}
