import Tensors
import Testing

@testable import Compression

@Suite struct QuantizationAllocationTests {
    private static func someLayers(_ random: inout SeededGenerator) -> [BitAllocation.Layer] {
        (0..<1 + random.index(below: 5)).map { number in
            let options = (0..<1 + random.index(below: 4)).map { _ in
                // Coarse costs, so that equal ones occur; some are below 0, as measured ones can be.
                BitAllocation.Option(bits: 2 + random.index(below: 7), cost: Double(random.index(below: 20)) / 4 - 0.5)
            }
            return BitAllocation.Layer(
                name: "l\(number)", weights: random.index(below: 60), macs: random.index(below: 500), options: options)
        }
    }

    private static func size(_ layer: BitAllocation.Layer, _ bits: Int, _ measure: BitAllocation.Measure) -> Int {
        switch measure {
        case .bytes: (layer.weights * bits + 7) / 8
        case .weightBits: layer.weights * bits
        case .bitOperations(let activationBits): layer.macs * bits * activationBits
        }
    }

    /// Every choice there is: size and cost.
    private static func all(
        _ layers: [BitAllocation.Layer], _ measure: BitAllocation.Measure
    ) -> [(size: Int, cost: Double)] {
        var choices: [(size: Int, cost: Double)] = [(0, 0)]
        for layer in layers {
            choices = choices.flatMap { choice in
                layer.options.map { (choice.size + size(layer, $0.bits, measure), choice.cost + $0.cost) }
            }
        }
        return choices
    }

    @Test(arguments: 0..<60) func everyBudgetGetsTheBestOfAllChoices(_ seed: Int) throws {
        var random = SeededGenerator(seed: UInt64(seed))
        let layers = Self.someLayers(&random)
        let measures: [BitAllocation.Measure] = [.bytes, .weightBits, .bitOperations(activationBits: 8)]
        let measure = measures[seed % 3]
        let all = Self.all(layers, measure)
        let found = try BitAllocation(layers, measure: measure)
        #expect(found.isExact)
        let least = all.map(\.size).min() ?? 0
        for budget in Set(all.map(\.size)).sorted() {
            let best = all.filter { $0.size <= budget }.map(\.cost).min() ?? .infinity
            let choice = try found.choice(within: budget)
            #expect(choice.cost == best && choice.size <= budget)
            // What it says of itself is true.
            let sizes = zip(layers, choice.bits).map { Self.size($0, $1, measure) }
            #expect(sizes.reduce(0, +) == choice.size)
            let isPossible = zip(layers, choice.bits).allSatisfy { layer, bits in
                layer.options.contains { $0.bits == bits }
            }
            #expect(isPossible)
        }
        let error = #expect(throws: CompressionError.self) { try found.choice(within: least - 1) }
        #expect("\(try #require(error))".contains("\(least) "))
        // The front is what no other choice beats.
        for point in found.front {
            let beaten = all.contains {
                ($0.size < point.size && $0.cost <= point.cost) || ($0.size <= point.size && $0.cost < point.cost)
            }
            #expect(!beaten)
        }
        for (before, after) in zip(found.front, found.front.dropFirst()) {
            #expect(before.size < after.size && before.cost > after.cost)
        }
    }

    /// With few states the answer may cost more, but every budget that can be met still is.
    @Test(arguments: 0..<30) func aCoarseGridKeepsWithinTheBudget(_ seed: Int) throws {
        var random = SeededGenerator(seed: UInt64(seed) + 500)
        // Every bit less costs more, so that many choices are worth keeping.
        let layers = (0..<8).map { number in
            let gain = Double(random.uniform()) + 0.1
            let options = [2, 3, 4, 6, 8].map { BitAllocation.Option(bits: $0, cost: gain / Double(1 << (2 * $0))) }
            return BitAllocation.Layer(name: "l\(number)", weights: 1 + random.index(below: 100_000), options: options)
        }
        let exact = try BitAllocation(layers, measure: .bytes)
        let coarse = try BitAllocation(layers, measure: .bytes, stateLimit: 50)
        #expect(exact.isExact && !coarse.isExact && coarse.front.count <= 50)
        #expect(coarse.front.first?.size == exact.front.first?.size)
        let (least, most) = (exact.front[0].size, exact.front[exact.front.count - 1].size)
        for step in 0...10 {
            let budget = least + (most - least) * step / 10
            let (best, found) = (try exact.choice(within: budget), try coarse.choice(within: budget))
            #expect(found.size <= budget && found.cost >= best.cost)
            let sizes = zip(layers, found.bits).map { Self.size($0, $1, .bytes) }
            #expect(sizes.reduce(0, +) == found.size)
        }
        // It even ends where a grid cannot be coarse enough.
        let coarsest = try BitAllocation(layers, measure: .bytes, stateLimit: 2)
        #expect(try coarsest.choice(within: least).size == least)
    }

    @Test func bitsOnAverageAreCounted() throws {
        let options = [2, 4, 8].map { BitAllocation.Option(bits: $0, cost: 1 / Double($0)) }
        let layers = [
            BitAllocation.Layer(name: "a", weights: 100, options: options),
            BitAllocation.Layer(name: "b", weights: 300, options: options),
        ]
        let found = try BitAllocation(layers, measure: .weightBits)
        let choice = try found.choice(averageBits: 4)
        #expect(choice.averageBits <= 4 && choice.bits == [4, 4])
        #expect(try found.choice(averageBits: 100).bits == [8, 8])
        let error = #expect(throws: CompressionError.self) { try found.choice(averageBits: 1.5) }
        #expect("\(try #require(error))".contains("2.0 bits a weight"))
        #expect(throws: CompressionError.self) { try found.choice(averageBits: .nan) }
    }

    @Test func whatCannotBeCountedIsRefused() {
        func refused(_ layer: BitAllocation.Layer, _ measure: BitAllocation.Measure = .bytes) -> Bool {
            (try? BitAllocation([layer], measure: measure)) == nil
        }
        let option = BitAllocation.Option(bits: 4, cost: 1)
        #expect(!refused(.init(name: "a", weights: 1, options: [option])))
        #expect(refused(.init(name: "a", weights: 1, options: [])))
        #expect(refused(.init(name: "a", weights: -1, options: [option])))
        #expect(refused(.init(name: "a", weights: .max, options: [option])))
        #expect(refused(.init(name: "a", weights: 1, options: [.init(bits: 0, cost: 1)])))
        #expect(refused(.init(name: "a", weights: 1, options: [.init(bits: 4, cost: .nan)])))
        #expect(refused(.init(name: "a", weights: 1, macs: 1, options: [option]), .bitOperations(activationBits: 0)))
    }

    @Test func nothingTakesNothing() throws {
        let found = try BitAllocation([], measure: .bytes)
        #expect(try found.choice(within: 0).bits.isEmpty)
    }
}
