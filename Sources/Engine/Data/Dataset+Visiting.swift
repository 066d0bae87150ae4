import Tensors

extension Dataset {
    /// Hands out samples as they are, in their order, read ahead by one thread.
    /// - Parameter body: gets what is sound of each batch, and the share of the samples before it.
    /// - Returns: what was found damaged and left out.
    /// - Throws: what `body` throws; `DataError.tooManyDamagedSamples` when more than 1 % are damaged.
    public func visit(
        _ indices: [Int], batch: Int, _ body: (LoadedBatch, _ fraction: Double) throws -> Void
    ) throws -> DamageReport {
        let plan = stride(from: 0, to: indices.count, by: batch).map { start in
            PlannedBatch(epoch: 0, indices: Array(indices[start..<min(indices.count, start + batch)]))
        }
        let loader = BatchLoader(self, plan: plan, seed: nil)
        while let loaded = try loader.next() {
            try body(loaded, Double(loader.damage.visited - loaded.indices.count) / Double(max(1, indices.count)))
        }
        return loader.damage
    }

    /// What a model of these targets is usually trained with and judged by.
    public func usualLoss(labelSmoothing: Double = 0) -> Loss {
        switch targets {
        case .classes: .crossEntropy(labelSmoothing: labelSmoothing)
        case .tokens: .nextToken()
        case .values: .meanSquaredError
        }
    }
}

extension DamageReport {
    /// One line for people; nil when nothing was damaged.
    public var warning: String? {
        guard damaged > 0 else { return nil }
        let names = examples.map { "\($0.name) (\($0.reason))" }.joined(separator: ", ")
        return "\(damaged) of \(visited) samples are damaged and were left out: \(names)"
            + (damaged > examples.count ? " ..." : "")
    }
}
