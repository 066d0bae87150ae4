/// Tensors by name, in a fixed order: the order is part of the value, so everything derived from it is deterministic.
public struct NamedTensors: Sendable, Equatable {
    public private(set) var names: [String] = []
    private var tensors: [String: Tensor] = [:]

    public init() {}

    public init(_ pairs: [(String, Tensor)]) {
        for (name, tensor) in pairs { self[name] = tensor }
    }

    public var count: Int { names.count }
    public var isEmpty: Bool { names.isEmpty }

    /// Reads, replaces in place, appends (a new name goes last) or, with `nil`, removes.
    public subscript(name: String) -> Tensor? {
        get { tensors[name] }
        set {
            if let newValue {
                if tensors.updateValue(newValue, forKey: name) == nil { names.append(name) }
            } else if tensors.removeValue(forKey: name) != nil {
                names.removeAll { $0 == name }
            }
        }
    }

    /// - Throws: `TensorError.missingTensor`.
    public func require(_ name: String) throws(TensorError) -> Tensor {
        guard let tensor = tensors[name] else { throw .missingTensor(name) }
        return tensor
    }

    /// Changes one tensor without copying it. Precondition: the name exists.
    public mutating func modify<Result>(_ name: String, _ body: (inout Tensor) throws -> Result) rethrows -> Result {
        guard var tensor = tensors.removeValue(forKey: name) else { preconditionFailure("no tensor '\(name)'") }
        defer { tensors[name] = tensor }
        return try body(&tensor)
    }

    /// Pairs in order.
    public var ordered: [(name: String, tensor: Tensor)] {
        names.map { name in
            guard let tensor = tensors[name] else { preconditionFailure("no tensor '\(name)'") }
            return (name, tensor)
        }
    }

    /// Elements over all tensors.
    public var elementCount: Int { tensors.values.reduce(0) { $0 + $1.elementCount } }
}
