import ModelGraph
import Tensors

extension Importance {
    /// The importance of whole blocks by name, divided by the mean over the blocks of the same signature, so that blocks of
    /// different structure can be ranked together. What estimates the loss that removal costs is summed over the block's
    /// weights; magnitudes (`l1`, `l2`) are averaged, or wide blocks would always seem the more important. Only kernels,
    /// matrices and scales of normalisations count. `movement` is shifted by the least block's sum first.
    /// - Parameter blocks: parameters are names of the graph's; signatures are equal for blocks of the same structure.
    /// - Throws: `CompressionError.criterionUnfit` for a criterion that says nothing of blocks, `.groupMisfit` for a block
    ///   without a weight that counts, `.missingStatistic`, `.scoresNotFinite`.
    public func ofBlocks(
        _ blocks: [(name: String, parameters: [String], signature: String)]
    ) throws(CompressionError) -> [String: Double] {
        try criterion.check(fits: PruningCriterion.forBlocks, "whole blocks")
        let kernels = Set(prunable)
        var totals: [Double] = []
        for block in blocks {
            var sum = 0.0
            var count = 0
            for name in block.parameters where kernels.contains(name) || scales.contains(name) {
                let values = try ofElements(name)
                for value in values { sum += Double(value) }
                count += values.count
            }
            guard count > 0 else {
                throw .groupMisfit(group: block.name, reason: "it has no weights that it could be ranked by")
            }
            totals.append(criterion.statistic == nil ? sum / Double(count) : sum)
        }
        if criterion == .movement, let least = totals.min() { totals = totals.map { $0 - least } }
        var scores: [String: Double] = [:]
        for (index, block) in blocks.enumerated() {
            let alike = blocks.indices.filter { blocks[$0].signature == block.signature }
            let mean = alike.reduce(0) { $0 + totals[$1] } / Double(alike.count)
            scores[block.name] = mean > 0 ? totals[index] / mean : 0
        }
        return scores
    }
}
