/// What a target's runtime makes of each node of a written graph, as predicted from its fusion rules.
public struct FusionAudit: Sendable, Equatable, Codable {
    public enum Kernel: String, Sendable, Codable {
        /// An integer kernel.
        case integer
        /// Passes codes on as they are.
        case moved
        /// Becomes part of another kernel, or is implied by a quantized range.
        case fused
        /// Float arithmetic on weights that stay integers in memory.
        case integerWeights
        /// float32.
        case float
    }

    public struct Entry: Sendable, Equatable, Codable {
        public let name: String
        public let `operator`: String
        public let kernel: Kernel
        /// Why it stays float.
        public let reason: String?
        /// For one sample; nil where shapes are not known or the operator counts none.
        public let multiplyAccumulates: Int?
    }

    public let target: DeploymentTarget
    /// Nodes that compute with float or coded values, in node order.
    public let entries: [Entry]

    /// Nodes that stay float, in node order.
    public var floatEntries: [Entry] { entries.filter { $0.kernel == .float } }

    /// The share of multiply-accumulates in integer kernels, 0 to 1; nil where none are known.
    public var integerShare: Double? { share { $0 == .integer } }

    private func share(_ counts: (Kernel) -> Bool) -> Double? {
        var (total, counted) = (0.0, 0.0)
        for entry in entries {
            let macs = Double(entry.multiplyAccumulates ?? 0)
            total += macs
            if counts(entry.kernel) { counted += macs }
        }
        return total > 0 ? counted / total : nil
    }

    /// An entry's share of all multiply-accumulates; nil where none are known.
    public func share(of entry: Entry) -> Double? {
        guard let macs = entry.multiplyAccumulates else { return nil }
        let total = entries.reduce(0.0) { $0 + Double($1.multiplyAccumulates ?? 0) }
        return total > 0 ? Double(macs) / total : nil
    }
}

extension Graph {
    /// Predicts, for a graph that `quantized(for:)` wrote or another in QDQ form, what the target's runtime runs in
    /// integers, and names each node that stays float with the reason. Source: ONNX Runtime's optimized graphs, against
    /// which `Tests/onnxruntime/check_targets.py` checks it; for TensorRT its documentation.
    public func fusionAudit(for target: DeploymentTarget) -> FusionAudit {
        let shapes = (try? sampleShapes()) ?? [:]
        let view = QuantizedView(self)
        var entries: [FusionAudit.Entry] = []
        for (index, node) in nodes.enumerated() {
            guard let verdict = view.verdict(index, target) else { continue }
            let macs = (try? multiplyAccumulates(of: node, shapes)) ?? nil
            entries.append(
                FusionAudit.Entry(
                    name: node.name, operator: node.operatorType, kernel: verdict.kernel, reason: verdict.reason,
                    multiplyAccumulates: macs))
        }
        return FusionAudit(target: target, entries: entries)
    }
}
