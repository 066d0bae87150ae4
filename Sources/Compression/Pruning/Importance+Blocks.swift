import ModelGraph
import Tensors

extension Importance {
    /// The importance of whole blocks by name: the mean over all weights of the block's parameters, divided by the mean over
    /// the blocks of the same signature, so that blocks of different structure can be ranked together. Only kernels,
    /// matrices and scales of normalisations count. `movement` is shifted by the least block's mean first.
    /// - Parameter blocks: parameters are names of the graph's; signatures are equal for blocks of the same structure.
    /// - Throws: `CompressionError.criterionUnfit` for a criterion that says nothing of blocks, `.groupMisfit` for a block
    ///   without a weight that counts, `.missingStatistic`, `.scoresNotFinite`.
    public func ofBlocks(
        _ blocks: [(name: String, parameters: [String], signature: String)]
    ) throws(CompressionError) -> [String: Double] {
        try criterion.check(fits: PruningCriterion.forBlocks, "whole blocks")
        let kernels = Set(prunable)
        var means: [Double] = []
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
            means.append(sum / Double(count))
        }
        if criterion == .movement, let least = means.min() { means = means.map { $0 - least } }
        var scores: [String: Double] = [:]
        for (index, block) in blocks.enumerated() {
            let alike = blocks.indices.filter { blocks[$0].signature == block.signature }
            let mean = alike.reduce(0) { $0 + means[$1] } / Double(alike.count)
            scores[block.name] = mean > 0 ? means[index] / mean : 0
        }
        return scores
    }
}
