import CTorch
import ModelGraph
import Tensors

// What operators with several outputs and computed settings share.
extension Operators {
    /// Runs a function that fills several outputs.
    static func filled(
        _ count: Int, _ body: (UnsafeMutablePointer<OpaquePointer?>) -> Int32
    ) throws(EngineError) -> [TorchTensor?] {
        var handles = [OpaquePointer?](repeating: nil, count: count)
        try CTorchStatus.check(handles.withUnsafeMutableBufferPointer { body($0.baseAddress!) })
        var tensors: [TorchTensor?] = []
        for handle in handles {
            tensors.append(try handle.map { handle throws(EngineError) in try TorchTensor(handle) })
        }
        return tensors
    }

    /// Whether a node names this input or output.
    static func has(_ names: [String], _ index: Int) -> Bool { names.indices.contains(index) && !names[index].isEmpty }

    /// The numbers an input holds now, if it is given and not empty.
    static func numbers(_ inputs: [TorchTensor?], _ index: Int) throws(EngineError) -> [Double]? {
        guard inputs.indices.contains(index), let tensor = inputs[index] else { return nil }
        let values = try TorchTensor(ct_cast(tensor.handle, Int32(CT_FLOAT64))).tensor().elements(as: Double.self)
        return values.isEmpty ? nil : values
    }

    /// The integers an input of int32 or int64 holds now, if it is given.
    static func wholeNumbers(_ inputs: [TorchTensor?], _ index: Int, _ node: Node) throws(EngineError) -> [Int64]? {
        guard inputs.indices.contains(index), let tensor = inputs[index] else { return nil }
        guard [.int32, .int64].contains(tensor.elementType) else {
            throw refuse(node, "input \(index) of type \(tensor.elementType)")
        }
        return try TorchTensor(ct_cast(tensor.handle, Int32(CT_INT64))).tensor().elements(as: Int64.self)
    }

    /// The value of an attribute that names one of a few modes.
    static func mode(
        _ node: Node, _ attribute: String, default standard: String, _ modes: [(String, Int)]
    ) throws(EngineError) -> Int32 {
        let name = node.string(attribute) ?? standard
        guard let found = modes.first(where: { $0.0 == name }) else { throw refuse(node, "\(attribute) '\(name)'") }
        return Int32(found.1)
    }

    /// A flag: an integer attribute that is not zero.
    static func flag(_ node: Node, _ attribute: String) -> Bool { node.int(attribute) ?? 0 != 0 }

    /// A count: an integer attribute that is at least 1 and no larger than an axis may be.
    static func count(_ node: Node, _ attribute: String, default standard: Int64? = nil) throws(EngineError) -> Int64 {
        guard let value = node.int(attribute) ?? standard else { throw refuse(node, "a missing \(attribute)") }
        guard (1...Int64(ModelLimits.extent)).contains(value) else { throw refuse(node, "\(attribute) \(value)") }
        return value
    }
}
