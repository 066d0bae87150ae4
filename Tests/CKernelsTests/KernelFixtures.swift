import Tensors

/// What the kernels are fed: made of `SeededGenerator` and exact arithmetic only, so it is the same on every machine.
enum KernelFixtures {
    /// Counts around every vector width, then more than a run.
    static let counts = [
        0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 130, 255, 257, 1_000, 2_049, 4_099,
    ]
    static let blocks = [1, 7, 64, 256, 4_096, 1 << 24]

    /// Roughly normal, standard deviation about `scale`.
    static func bellShaped(_ count: Int, seed: UInt64, scale: Float = 1) -> [Float] {
        var generator = SeededGenerator(seed: seed)
        return (0..<count).map { _ in
            let sum = generator.uniform() + generator.uniform() + generator.uniform() + generator.uniform()
            return (sum - 2) * 1.75 * scale
        }
    }

    /// Bell-shaped numbers with zeros of both signs, denormals, tiny and large magnitudes strewn in.
    static func values(_ count: Int, seed: UInt64, huge: Bool = false) -> [Float] {
        var special: [Float] = [
            0, -0.0, 0x1p-149, -0x1.08p-138, 0x1p-130, 0.5, -0.5, 1.5, 2.5, 255.75, -256, 6e-8, 65_504,
        ]
        if huge { special += [0x1p127, -0x1.fffffep127, 0x1.3p100, -0x1.7p90] }
        var generator = SeededGenerator(seed: seed)
        var values = bellShaped(count, seed: seed &+ 9)
        for index in values.indices where generator.index(below: 4) == 0 {
            values[index] = special[generator.index(below: special.count)]
        }
        return values
    }

    static func codes(_ count: Int, within limit: Int, seed: UInt64) -> [Int8] {
        var generator = SeededGenerator(seed: seed)
        return (0..<count).map { _ in Int8(generator.index(below: 2 * limit + 1) - limit) }
    }

    static func bytes(_ count: Int, seed: UInt64) -> [UInt8] {
        var generator = SeededGenerator(seed: seed)
        return (0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
    }

    /// The `count` bits of the field of `bits` each: bit i of a number is bit number · bits + i.
    static func field(_ numbers: [UInt64], bits: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: (numbers.count * bits + 7) / 8)
        for (index, number) in numbers.enumerated() {
            for bit in 0..<bits where number >> UInt64(bit) & 1 == 1 {
                bytes[(index * bits + bit) / 8] |= 1 << UInt8((index * bits + bit) % 8)
            }
        }
        return bytes
    }

    /// Eight lanes, the rest going to the first ones, then a tree.
    static func laneSum(_ values: [Double]) -> Double {
        var lanes = [Double](repeating: 0, count: 8)
        for (index, value) in values.enumerated() { lanes[index % 8] += value }
        return treeSum(lanes)
    }

    static func treeSum(_ lanes: [Double]) -> Double {
        ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]))
    }
}

/// Scales of blocks as a record has them, and where x[0] stands among them.
struct BlockScales {
    let bytes: Guarded<UInt8>
    let scales: [Float]
    let factor: Float
    let block: Int
    let first: Int

    /// Random halves, every fifth one zero or subnormal, just as many as elements first ..< first + count have blocks.
    init(_ count: Int, block: Int, first: Int, factor: Float, below bound: Int = 0x7c00, seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let number = count == 0 ? 0 : (first + count - 1) / block + 1
        let halves = (0..<number).map { _ in
            generator.index(below: 5) == 0
                ? UInt16([0, 1, 0x3ff][generator.index(below: 3)]) : UInt16(generator.index(below: bound))
        }
        self.init(halves: halves, block: block, first: first, factor: factor)
    }

    init(halves: [UInt16], block: Int, first: Int, factor: Float) {
        bytes = Guarded(halves.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] })
        scales = halves.map { Float(Float16(bitPattern: $0)) * factor }
        self.factor = factor
        self.block = block
        self.first = first
    }

    subscript(index: Int) -> Float { scales[(first + index) / block] }
}
