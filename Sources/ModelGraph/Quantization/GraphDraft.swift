import Tensors

/// A graph while it is rewritten: new nodes in order, and names that clash with none.
struct GraphDraft {
    let source: Graph
    var nodes: [Node] = []
    var initializers: NamedTensors
    private(set) var fourBitNames: Set<String>
    private var taken: Set<String>
    /// Constants that several nodes share, by what they are.
    private var shared: [String: String] = [:]
    private var steps = 0

    init(_ source: Graph) {
        self.source = source
        initializers = source.initializers
        fourBitNames = source.fourBitNames
        taken = source.valueNames
    }

    mutating func newName(_ base: String) -> String { Graph.uniqueName(base, taken: &taken) }

    /// A short name for a value that is only a step on the way, or for a node that nobody speaks of: a file has thousands.
    mutating func newStepName() -> String {
        steps += 1
        return newName("u\(steps)")
    }

    /// Adds an initializer and returns its name.
    mutating func add(_ tensor: Tensor, named base: String, asFourBits: Bool = false) -> String {
        let name = newName(base)
        initializers[name] = tensor
        if asFourBits { fourBitNames.insert(name) }
        return name
    }

    /// The initializer that `key` stands for, made when it is asked for first.
    mutating func sharing(_ key: String, asFourBits: Bool = false, _ make: () -> Tensor) -> String {
        if let name = shared[key] { return name }
        let name = add(make(), named: key, asFourBits: asFourBits)
        shared[key] = name
        return name
    }

    /// Adds a node with one output, named like it, and returns the output's name; a step's where no name is given.
    @discardableResult
    mutating func add(
        _ operatorType: String, _ inputs: [String], _ attributes: [String: AttributeValue] = [:],
        output base: String? = nil
    ) -> String {
        let output = base.map { newName($0) } ?? newStepName()
        nodes.append(
            Node(name: output, operatorType: operatorType, inputs: inputs, outputs: [output], attributes: attributes))
        return output
    }

    /// The rewritten graph; initializers that nothing reads any more are gone.
    func finished() -> Graph {
        var result = source
        result.nodes = nodes
        result.initializers = initializers
        result.fourBitNames = fourBitNames
        result.dropUnusedInitializers()
        result.orderConstantsLast()
        return result
    }
}
