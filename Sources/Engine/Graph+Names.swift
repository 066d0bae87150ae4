import ModelGraph
import Tensors

extension Graph {
    /// Checks that tensors are given for exactly the inputs, by their names, and that the graph computes what is asked for.
    /// - Parameter outputs: names of any values the graph computes; nil for its outputs.
    /// - Throws: `EngineError.unknownInput`, `missingInput` or `unknownValue`, with the nearest name where there is one.
    public func checkNames(inputs given: NamedTensors, outputs: [String]? = nil) throws(EngineError) {
        let names = inputs.map(\.name)
        for name in given.names where !names.contains(name) {
            let nearest = NearestName.suggestion(for: name, in: names.filter { given[$0] == nil })
            throw .unknownInput(name: name, suggestion: nearest, inputs: names)
        }
        for name in names where given[name] == nil { throw .missingInput(name) }
        let computed = nodes.flatMap(\.outputs).filter { !$0.isEmpty } + names + initializers.names
        for name in outputs ?? [] where !computed.contains(name) {
            throw .unknownValue(name: name, suggestion: NearestName.suggestion(for: name, in: computed))
        }
    }
}
