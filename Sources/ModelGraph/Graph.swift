// An ONNX model as a value: what is loaded, edited, inferred over and saved. Edits are functions from graph to graph.
// This target never runs a model (Engine does) and never reads data; whatever comes from bytes is bounded before use.
import Tensors

/// One attribute of a node: the kinds ONNX knows, less graphs and sparse tensors, which are refused on load.
public enum AttributeValue: Sendable, Equatable {
    case float(Float)
    case int(Int64)
    case string(String)
    case tensor(Tensor)
    case floats([Float])
    case ints([Int64])
    case strings([String])
}

/// One operator application. An empty string in `inputs` or `outputs` is an optional value left out.
public struct Node: Sendable, Equatable {
    public var name: String
    public var operatorType: String
    public var domain: String
    public var inputs: [String]
    public var outputs: [String]
    public var attributes: [String: AttributeValue]

    public init(
        name: String, operatorType: String, domain: String = "", inputs: [String], outputs: [String],
        attributes: [String: AttributeValue] = [:]
    ) {
        self.name = name
        self.operatorType = operatorType
        self.domain = domain
        self.inputs = inputs
        self.outputs = outputs
        self.attributes = attributes
    }

    public func int(_ key: String) -> Int64? { if case .int(let value)? = attributes[key] { value } else { nil } }
    public func ints(_ key: String) -> [Int64]? { if case .ints(let value)? = attributes[key] { value } else { nil } }
    public func float(_ key: String) -> Float? { if case .float(let value)? = attributes[key] { value } else { nil } }
    public func string(_ key: String) -> String? {
        if case .string(let value)? = attributes[key] { value } else { nil }
    }
    public func tensor(_ key: String) -> Tensor? {
        if case .tensor(let value)? = attributes[key] { value } else { nil }
    }
}

/// One axis of a declared input or output.
public enum Dimension: Sendable, Equatable {
    case fixed(Int)
    case symbolic(String)
    case unknown
}

/// A declared graph input or output.
public struct ValueInfo: Sendable, Equatable {
    public var name: String
    public var elementType: ElementType
    /// nil when the file declares no shape.
    public var dimensions: [Dimension]?

    public init(name: String, elementType: ElementType, dimensions: [Dimension]?) {
        self.name = name
        self.elementType = elementType
        self.dimensions = dimensions
    }
}

/// An ONNX model in memory: nodes in topological order, initializers by name.
///
/// Invariants after `load`: nodes are topologically sorted, every value has one producer, initializers are not graph
/// inputs, aliases (`Identity` of an initializer) are untied into initializers of their own.
public struct Graph: Sendable, Equatable {
    public var name: String
    public var nodes: [Node]
    public var inputs: [ValueInfo]
    public var outputs: [ValueInfo]
    public var initializers: NamedTensors
    public var opset: Int64
    public var irVersion: Int64
    public var metadata: [String: String]
    /// Initializers that the file wrote as Constant nodes: fixed numbers of the model, never parameters.
    public var constantNames: Set<String>
    /// Initializers of int8 and uint8 whose codes fit 4 bits and which files hold as INT4 and UINT4 (opset 21).
    public var fourBitNames: Set<String> = []

    public init(
        name: String, nodes: [Node], inputs: [ValueInfo], outputs: [ValueInfo], initializers: NamedTensors,
        opset: Int64 = 17, irVersion: Int64 = 8, metadata: [String: String] = [:],
        constantNames: Set<String> = []
    ) {
        self.name = name
        self.nodes = nodes
        self.inputs = inputs
        self.outputs = outputs
        self.initializers = initializers
        self.opset = opset
        self.irVersion = irVersion
        self.metadata = metadata
        self.constantNames = constantNames
    }
}
