import Tensors
import Testing

@testable import Compression

@Suite struct QuantizationAllocationTests {
    private static func someLayers(_ random: inout SeededGenerator) -> [BitAllocation.Layer] {
        (0..<1 + random.index(below: 5)).map { number in
            let options = (0..<1 + random.index(below: 4)).map { _ in
                // Coarse costs, so that equal ones occur; some are below 0, as measured ones can be.
                BitAllocation.Option(
                    bits: random.index(below: 5) == 0 ? nil : 2 + random.index(below: 7),
                    size: random.index(below: 400), cost: Double(random.index(below: 20)) / 4 - 0.5)
            }
            return BitAllocation.Layer(name: "l\(number)", weights: random.index(below: 60), options: options)
        }
    }

    /// Every choice there is: size and cost.
    private static func all(_ layers: [BitAllocation.Layer]) -> [(size: Int, cost: Double)] {
        var choices: [(size: Int, cost: Double)] = [(0, 0)]
        for layer in layers {
            choices = choices.flatMap { choice in
                layer.options.map { (choice.size + $0.size, choice.cost + $0.cost) }
            }
        }
        return choices
    }

    @Test(arguments: 0..<60) func everyBudgetGetsTheBestOfAllChoices(_ seed: Int) throws {
        var random = SeededGenerator(seed: UInt64(seed))
        let layers = Self.someLayers(&random)
        let base = random.index(below: 1000) - 500
        let all = Self.all(layers).map { (size: $0.size + base, cost: $0.cost) }
        let found = try BitAllocation(layers, measure: .bytes, base: base)
        #expect(found.isExact)
        let least = all.map(\.size).min() ?? 0
        for budget in Set(all.map(\.size)).sorted() {
            let best = all.filter { $0.size <= budget }.map(\.cost).min() ?? .infinity
            let choice = try found.choice(within: budget)
            #expect(choice.cost == best && choice.size <= budget)
            // What it says of itself can be had: some options of these bits have this size together.
            let own = zip(layers, choice.bits).map { layer, bits in
                BitAllocation.Layer(
                    name: layer.name, weights: layer.weights, options: layer.options.filter { $0.bits == bits })
            }
            let isPossible = Self.all(own).contains { $0.size + base == choice.size && $0.cost == choice.cost }
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
            let weights = 1 + random.index(below: 100_000)
            let options = [2, 3, 4, 6, 8].map {
                BitAllocation.Option(bits: $0, size: (weights * $0 + 7) / 8, cost: gain / Double(1 << (2 * $0)))
            }
            return BitAllocation.Layer(name: "l\(number)", weights: weights, options: options)
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
            let sizes = zip(layers, found.bits).map { ($0.weights * ($1 ?? 32) + 7) / 8 }
            #expect(sizes.reduce(0, +) == found.size)
        }
        // It even ends where a grid cannot be coarse enough.
        let coarsest = try BitAllocation(layers, measure: .bytes, stateLimit: 2)
        #expect(try coarsest.choice(within: least).size == least)
    }

    @Test func bitsOnAverageAreCounted() throws {
        let layers = [("a", 100), ("b", 300)].map { name, weights in
            BitAllocation.Layer(
                name: name, weights: weights,
                options: [2, 4, 8].map {
                    BitAllocation.Option(bits: $0, size: weights * $0, cost: 1 / Double($0))
                })
        }
        let found = try BitAllocation(layers, measure: .weightBits)
        let choice = try found.choice(averageBits: 4)
        #expect(choice.averageBits <= 4 && choice.bits == [4, 4])
        #expect(try found.choice(averageBits: 100).bits == [8, 8])
        let error = #expect(throws: CompressionError.self) { try found.choice(averageBits: 1.5) }
        #expect("\(try #require(error))".contains("2.0 bits a weight"))
        #expect(throws: CompressionError.self) { try found.choice(averageBits: .nan) }
    }

    @Test func timesAreNamedInMilliseconds() throws {
        let options = [
            BitAllocation.Option(bits: nil, size: 700_001, cost: 0), BitAllocation.Option(bits: 8, size: 0, cost: 1),
        ]
        let layer = BitAllocation.Layer(name: "a", weights: 10, options: options)
        let found = try BitAllocation([layer], measure: .nanoseconds, base: 1_500_001)
        #expect(try found.choice(within: 2_200_002).bits == [nil])
        #expect(try found.choice(within: 2_200_002).averageBits == 32)
        #expect(try found.choice(within: 2_200_001).bits == [8])
        let error = #expect(throws: CompressionError.self) { try found.choice(within: 1_500_000) }
        // What is named can be met.
        #expect("\(try #require(error))".contains("1.501 ms a sample"))
    }

    @Test func whatCannotBeCountedIsRefused() {
        func refused(_ layer: BitAllocation.Layer, base: Int = 0) -> Bool {
            (try? BitAllocation([layer], measure: .bytes, base: base)) == nil
        }
        let option = BitAllocation.Option(bits: 4, size: 1, cost: 1)
        #expect(!refused(.init(name: "a", weights: 1, options: [option])))
        #expect(refused(.init(name: "a", weights: 1, options: [])))
        #expect(refused(.init(name: "a", weights: -1, options: [option])))
        #expect(refused(.init(name: "a", weights: 1, options: [.init(bits: 4, size: .max, cost: 1)])))
        #expect(refused(.init(name: "a", weights: 1, options: [.init(bits: 4, size: -1, cost: 1)])))
        #expect(refused(.init(name: "a", weights: 1, options: [.init(bits: 0, size: 1, cost: 1)])))
        #expect(refused(.init(name: "a", weights: 1, options: [.init(bits: 4, size: 1, cost: .nan)])))
        #expect(refused(.init(name: "a", weights: 1, options: [option]), base: .min))
    }

    @Test func nothingTakesNothing() throws {
        let found = try BitAllocation([], measure: .bytes)
        #expect(try found.choice(within: 0).bits.isEmpty)
    }
}
