import Compression
import ModelGraph
import Tensors
import Testing

@testable import Coordinator

/// A budget of milliseconds on a clock that counts multiply-accumulates.
struct LatencyBudgetTests {
    private static let graph = try! ModelBuilder.build(
        architecture: "resnet20", inputShape: [3, 8, 8], classes: 4, width: 8, seed: 5)

    private static func budget(time: @escaping (Graph) -> Double) throws -> LatencyBudget {
        let decider = try MaskDecider(
            graph: graph, masks: MaskSet(),
            settings: PruningSettings(unit: .channels(.channels), criterion: .l2, multiple: 1))
        return LatencyBudget(decider: decider, evidence: .weights) { models throws(LatencyError) in
            models.map { make in (try? make()).map(time) ?? .nan }
        }
    }

    private static func million(_ graph: Graph) -> Double { Double((try? graph.multiplyAccumulates()) ?? 0) / 1e6 }

    @Test(arguments: [0.9, 0.62, 0.2])
    func theLargestThatIsFastEnoughIsFound(share: Double) throws {
        let whole = Self.million(Self.graph)
        let budget = try Self.budget(time: Self.million)
        let amount = try budget.amount(target: share * whole, share: 1)
        let left = Self.million(try budget.decider.change(.weights, amount: amount).apply(to: Self.graph).graph)
        #expect(left <= share * whole)
        // No further from the goal than a step between candidates, which each refinement quarters.
        #expect(left >= (share - 0.05) * whole, "\(left) of \(share * whole)")
    }

    /// Half of the way from 10 to 2 is 6.
    @Test func stepsTakeAShareOfTheWay() throws {
        let whole = Self.million(Self.graph)
        let budget = try Self.budget { 10 * Self.million($0) / whole }
        guard case .macs(let count) = try budget.amount(target: 2, share: 0.5) else {
            Issue.record("no multiply-accumulates")
            return
        }
        #expect(Double(count) / 1e6 <= 0.6 * whole && Double(count) / 1e6 >= 0.54 * whole)
    }

    @Test func whatIsFastEnoughStays() throws {
        let budget = try Self.budget { _ in 1 }
        #expect(try budget.amount(target: 2, share: 1) == .keep(1))
    }

    /// A model whose time does not fall with its size.
    @Test func whatCannotBeMetSaysHowFastItGets() throws {
        let budget = try Self.budget { 5 + Self.million($0) / Self.million(Self.graph) }
        let error = #expect(throws: LatencyError.self) { try budget.amount(target: 4, share: 1) }
        guard case .tooSlow(target: 4, let fastest, now: 6)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(fastest.map { $0 > 5 && $0 < 5.2 } == true)
    }

    /// Widths in coarse steps: the smallest that can be made has more than two fifths of the work, and is tried.
    @Test func theSmallestThatCanBeMadeIsTried() throws {
        let decider = try MaskDecider(
            graph: Self.graph, masks: MaskSet(),
            settings: PruningSettings(
                unit: .channels(.channels), criterion: .l2, multiple: 1,
                excluded: Self.graph.channelGroups().groups.dropFirst(2).map(\.name)))
        let smallest = try Self.smallest(decider)
        let whole = Self.million(Self.graph)
        let budget = LatencyBudget(decider: decider, evidence: .weights) { models throws(LatencyError) in
            models.map { make in (try? make()).map(Self.million) ?? .nan }
        }
        let amount = try budget.amount(target: smallest + 0.05 * whole, share: 1)
        let left = Self.million(try decider.change(.weights, amount: amount).apply(to: Self.graph).graph)
        #expect(left <= smallest + 0.05 * whole)
    }

    private static func smallest(_ decider: MaskDecider) throws -> Double {
        let whole = try graph.multiplyAccumulates()
        var left = whole
        for part in stride(from: 100, to: 0, by: -1) {
            guard let change = try? decider.change(.weights, amount: .macs(whole * part / 100)) else { break }
            left = try change.apply(to: graph).graph.multiplyAccumulates()
        }
        return Double(left) / 1e6
    }
}
