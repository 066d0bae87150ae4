import Tensors

// How a weight's integers come into a graph.
extension GraphDraft {
    /// Adds the weight's int8 codes and returns the value's name: an initializer, or what constant nodes unpack from one.
    /// Runtimes compute those nodes once, when they load the file and before they look for patterns to fuse, so that the
    /// integer kernels get the same int8 initializer either way.
    mutating func addCodes(_ weight: StoredWeight, name: String, packs: Bool) -> String {
        let codes = weight.codes.elements(as: Int8.self)
        let isSigned = weight.levels == nil
        let offset = isSigned ? 1 << (weight.bits - 1) : 0
        if packs, WeightStorage.isPacked(count: codes.count, bits: weight.bits) {
            let packed = PackedCodes(codes.map { UInt8(truncatingIfNeeded: Int($0) + offset) }, bits: weight.bits)
            let integers = unpack(packed, count: codes.count, shape: weight.codes.shape, offset: offset, name: name)
            guard let levels = weight.levels else { return integers }
            return lookUp(integers, levels, name: name)
        }
        guard let levels = weight.levels else { return add(weight.codes, named: "\(name).quantized") }
        let expanded = codes.map { levels[Int($0)] }
        return add(
            Tensor(elements: expanded, elementType: .int8, shape: weight.codes.shape), named: "\(name).quantized")
    }

    private mutating func lookUp(_ indices: String, _ levels: [Int8], name: String) -> String {
        let codebook = add(
            Tensor(elements: levels, elementType: .int8, shape: Shape(vector: levels.count)), named: "\(name).codebook")
        return add("Gather", [codebook, cast(indices, to: .int32)], ["axis": .int(0)], output: "\(name).quantized")
    }

    /// The planes' parts, added up where there are several: int8 of the weight's shape.
    private mutating func unpack(
        _ packed: PackedCodes, count: Int, shape: Shape, offset: Int, name: String
    ) -> String {
        let isPadded = packed.paddedCount != count
        let partShape = isPadded ? Shape(vector: packed.paddedCount) : shape
        var sum: String?
        for (index, plane) in packed.planes.enumerated() {
            let stored = add(
                Tensor(plane.bytes, shape: Shape(vector: plane.bytes.count)), named: "\(name).bits\(plane.bits)")
            // The last plane's table takes the offset, so that no node has to.
            let isLast = index == packed.planes.count - 1
            let tableOffset = isLast ? -offset : 0
            let table = sharing("unpack.\(plane.bits).\(plane.shift).\(-tableOffset)") {
                PackedCodes.table(bits: plane.bits, shift: plane.shift, offset: tableOffset)
            }
            let gathered = add("Gather", [table, cast(stored, to: .int32)], ["axis": .int(0)])
            let part = reshape(gathered, to: partShape)
            guard packed.planes.count > 1 else {
                sum = part
                continue
            }
            // Sums of int8 came with opset 14, and not to every runtime.
            let wide = cast(part, to: .int32)
            sum = sum.map { add("Add", [$0, wide]) } ?? wide
        }
        guard var codes = sum else { preconditionFailure("codes without planes") }
        if packed.planes.count > 1 { codes = cast(codes, to: .int8) }
        guard isPadded else { return codes }
        let start = sharing("unpack.start") { Tensor([Int64(0)], shape: [1]) }
        let end = sharing("unpack.end.\(count)") { Tensor([Int64(count)], shape: [1]) }
        return reshape(add("Slice", [codes, start, end]), to: shape)
    }

    private mutating func reshape(_ value: String, to shape: Shape) -> String {
        let extents = shape.dimensions.map(Int64.init)
        let name = sharing("unpack.shape.\(extents.map(String.init).joined(separator: "x"))") {
            Tensor(extents, shape: Shape(vector: extents.count))
        }
        return add("Reshape", [value, name])
    }

    mutating func cast(_ value: String, to type: ElementType, output: String? = nil) -> String {
        add("Cast", [value], ["to": .int(Int64(OnnxTensor.dataType(type).rawValue))], output: output)
    }

    /// Adds a DequantizeLinear of integers: scales along `axis`, or in blocks along it.
    mutating func addDequantization(
        of integers: String, scales: Tensor, zeroPoints: Tensor, asFourBits: Bool = false, axis: Int,
        blockSize: Int? = nil, base: String, output: String
    ) {
        let scale = add(scales, named: "\(base).scale")
        // Most are zeros, which all tensors of their extents share.
        let isZero = !zeroPoints.bytes.contains { $0 != 0 }
        let extents = zeroPoints.shape.dimensions.map(String.init).joined(separator: "x")
        let key = "zeros.\(asFourBits ? "int4" : "\(zeroPoints.elementType)").\(extents)"
        let zeroPoint =
            isZero
            ? sharing(key, asFourBits: asFourBits) { zeroPoints }
            : add(zeroPoints, named: "\(base).zeroPoint", asFourBits: asFourBits)
        var attributes: [String: AttributeValue] = ["axis": .int(Int64(axis))]
        if let blockSize { attributes["block_size"] = .int(Int64(blockSize)) }
        nodes.append(
            Node(
                name: newStepName(), operatorType: "DequantizeLinear", inputs: [integers, scale, zeroPoint],
                outputs: [output], attributes: attributes))
    }

    /// Adds a weight that is dequantized under its own name.
    mutating func addDequantized(_ weight: StoredWeight, name: String, packs: Bool, asFourBits: Bool = false) {
        initializers[name] = nil
        let integers =
            asFourBits
            ? add(weight.codes, named: "\(name).quantized", asFourBits: true)
            : addCodes(weight, name: name, packs: packs)
        let shape = Shape(known: weight.scaleShape)
        let zeros = weight.zeroPoints ?? [Int8](repeating: 0, count: weight.scales.count)
        addDequantization(
            of: integers, scales: Tensor(weight.scales, shape: shape),
            zeroPoints: Tensor(elements: zeros, elementType: .int8, shape: shape), asFourBits: asFourBits,
            axis: weight.blocks?.axis ?? weight.axis, blockSize: weight.blocks?.size, base: name, output: name)
    }

    /// Adds a weight as float arithmetic on its codes, which runtimes compute once when they load the file: unlike
    /// DequantizeLinear, which ONNX Runtime keeps, and computes at every run where nothing fuses it.
    /// Precondition: scales of channels.
    mutating func addUnfolded(_ weight: StoredWeight, name: String, packs: Bool, asFourBits: Bool = false) {
        precondition(weight.blocks == nil, "'\(name)' has blocks")
        initializers[name] = nil
        let integers =
            asFourBits
            ? add(weight.codes, named: "\(name).quantized", asFourBits: true)
            : addCodes(weight, name: name, packs: packs)
        var extents = [Int](repeating: 1, count: weight.codes.shape.rank)
        extents[weight.axis] = weight.scales.count
        let shape = Shape(known: extents)
        var floats = cast(integers, to: .float32, output: "\(name).codes")
        if let zeroPoints = weight.zeroPoints {
            let zeros = add(Tensor(zeroPoints.map(Float.init), shape: shape), named: "\(name).zeroPoint")
            floats = add("Sub", [floats, zeros], output: "\(name).centred")
        }
        let scale = add(Tensor(weight.scales, shape: shape), named: "\(name).scale")
        nodes.append(
            Node(name: "\(name).scaled", operatorType: "Mul", inputs: [floats, scale], outputs: [name]))
    }
}

extension Shape {
    /// One axis. Precondition: not negative, as counts are not.
    init(vector count: Int) { self.init(known: [count]) }

    /// Extents of something that exists.
    init(known extents: [Int]) {
        guard let shape = try? Shape(extents) else { preconditionFailure("impossible extents \(extents)") }
        self = shape
    }
}
