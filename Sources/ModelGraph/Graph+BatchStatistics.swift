extension Graph {
    /// The running means and variances in pairs, in the order of the BatchNormalizations that own them. A pair that several
    /// nodes share is listed once.
    public var batchStatistics: [(mean: String, variance: String)] {
        let statistics = Set(statisticNames)
        var seen = Set<[String]>()
        return nodes.compactMap { node in
            guard node.operatorType == "BatchNormalization", node.domain.isEmpty, node.inputs.count >= 5 else {
                return nil
            }
            let (mean, variance) = (node.inputs[3], node.inputs[4])
            guard statistics.contains(mean), statistics.contains(variance), seen.insert([mean, variance]).inserted
            else { return nil }
            return (mean, variance)
        }
    }
}
