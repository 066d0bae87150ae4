import Engine
import Tensors

/// The batches of one training task: whole shuffled passes and, for a fractional number of epochs, part of one more.
struct BatchPlan {
    let count: Int
    let batch: Int
    let epochs: Double
    let seed: UInt64

    /// The sample indices of each batch.
    var batches: [PlannedBatch] {
        var batches: [PlannedBatch] = []
        let total = max(1, Int((epochs * Double(count)).rounded()))
        var done = 0
        var pass = 0
        while done < total {
            var passSeed = SeededGenerator(seed: seed, labels: "pass", String(pass))
            let order = Dataset.shuffledOrder(count: count, seed: passSeed.next())
            var start = 0
            while start < count, done < total {
                let end = min(start + batch, count, start + total - done)
                // One sample alone has no batch statistics: leave it to the next pass, unless batches of one are asked for.
                if end - start > 1 || count == 1 || batch == 1 {
                    batches.append(PlannedBatch(epoch: pass, indices: Array(order[start..<end])))
                }
                done += end - start
                start = end
            }
            pass += 1
        }
        return batches
    }
}
