import ModelGraph
import Tensors

/// Which layers of a graph are meant to be factorized: for the same graph and masks the same ones on every machine.
public struct LayerSelection: Sendable, Equatable {
    public var choice: FactorizationChoice
    /// Weights or nodes, when not all.
    public var only: [String]?
    /// Weights or nodes that stay as they are.
    public var excluded: [String]
    /// Whether every name must be one of a layer that can be factorized. Where the model has changed since names were
    /// checked, those that are gone count for nothing.
    public var checksNames: Bool

    public init(
        choice: FactorizationChoice = .auto, only: [String]? = nil, excluded: [String] = [], checksNames: Bool = true
    ) {
        (self.choice, self.only, self.excluded, self.checksNames) = (choice, only, excluded, checksNames)
    }

    /// Why a layer stays whose mask has dead weights.
    public static let maskedReason = "its mask has dead weights, which no product of factors would keep"

    private static let kernelReason = "its kernel is larger than one pixel; use the method spatial or tucker"

    /// The layers that are meant, in node order, and the other weights with the reason why not.
    /// - Parameter masks: a layer with dead weights stays as it is.
    /// - Throws: `CompressionError.notFactorizable` for one asked for that cannot be, `.unknownLayer`; `ModelError` where shapes
    ///   cannot be inferred.
    public func layers(of graph: Graph, masks: MaskSet = MaskSet()) throws -> FactorizableLayers {
        var found = try graph.factorizableLayers()
        let isMasked = { (layer: FactorizableLayer) in
            masks[layer.name].map { $0.populationCount < $0.count } ?? false
        }
        found.layers = try selected(from: found)
        for layer in found.layers where isMasked(layer) {
            guard only == nil || !checksNames else {
                throw CompressionError.notFactorizable(layer: layer.name, reason: Self.maskedReason)
            }
            found.refused.append(.init(name: layer.name, reason: Self.maskedReason))
        }
        found.layers.removeAll(where: isMasked)
        // What the methods can do nothing with is neither measured nor counted.
        for layer in found.layers where choice.methods(for: layer).isEmpty {
            found.refused.append(.init(name: layer.name, reason: Self.kernelReason))
        }
        found.layers.removeAll { choice.methods(for: $0).isEmpty }
        return found
    }

    private func selected(from found: FactorizableLayers) throws(CompressionError) -> [FactorizableLayer] {
        var left = found.layers
        if let only {
            var wanted = Set<String>()
            for name in only {
                for layer in try matches(name, found) where try fits(layer, name) { wanted.insert(layer.name) }
            }
            left = left.filter { wanted.contains($0.name) }
        }
        var stays = Set<String>()
        for name in excluded where !found.refused.contains(where: { $0.name == name }) {
            for layer in try matches(name, found) { stays.insert(layer.name) }
        }
        return left.filter { !stays.contains($0.name) }
    }

    private func matches(_ name: String, _ found: FactorizableLayers) throws(CompressionError) -> [FactorizableLayer] {
        let layers = found.layers.filter { $0.name == name || $0.node == name }
        guard layers.isEmpty, checksNames else { return layers }
        if let refusal = found.refused.first(where: { $0.name == name }) {
            throw .notFactorizable(layer: name, reason: refusal.reason)
        }
        let known = found.layers.map(\.name)
        throw .unknownLayer(
            name: name, suggestion: NearestName.suggestion(for: name, in: known + found.layers.map(\.node)),
            known: known)
    }

    /// Whether the chosen methods can do anything with a layer that was asked for.
    private func fits(_ layer: FactorizableLayer, _ name: String) throws(CompressionError) -> Bool {
        guard choice.methods(for: layer).isEmpty else { return true }
        guard checksNames else { return false }
        throw .notFactorizable(layer: name, reason: Self.kernelReason)
    }
}
