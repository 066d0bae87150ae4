import Tensors
import Testing

@testable import Compression

struct MaskVoteTests {
    private func votes(_ shares: [Float]) -> NamedTensors {
        NamedTensors([("w", Tensor(shares, shape: try! Shape([shares.count])))])
    }

    @Test func rulesDrawTheLine() throws {
        // Of four equal voters: all, three, two, one, none.
        let shares = votes([1, 0.75, 0.5, 0.25, 0])
        func kept(_ rule: VoteRule) throws -> Int {
            try #require(try MaskRanking.kept(byVotes: shares, rule: rule, previous: MaskSet())["w"]).populationCount
        }
        #expect(try kept(.intersection) == 1 && kept(.majority) == 2 && kept(.union) == 4)
        #expect(try kept(.threshold(0.5)) == 3 && kept(.threshold(0.75)) == 2 && kept(.threshold(1)) == 1)
        for rule in [VoteRule.threshold(0), .threshold(1.5), .threshold(.nan)] {
            #expect(throws: CompressionError.self) {
                try MaskRanking.kept(byVotes: shares, rule: rule, previous: MaskSet())
            }
        }
        #expect(throws: CompressionError.self) {
            try MaskRanking.kept(byVotes: votes([2, 0]), rule: .union, previous: MaskSet())
        }
    }

    @Test func theBestStaysAndTheDeadStayDead() throws {
        var alive = Bitmap(repeating: true, count: 4)
        alive[0] = false
        let masks = try MaskRanking.kept(
            byVotes: votes([1, 0.25, 0.4, 0.4]), rule: .majority, previous: MaskSet(epoch: 2, bitmaps: ["w": alive]))
        #expect(bits(masks, "w") == [false, false, true, false] && masks.epoch == 3)
    }

    /// A thousandfold of voters of different weight: the mean of their votes decides as counting them does.
    @Test func countedVotesDecide() throws {
        var random = SeededGenerator(seed: 60)
        for _ in 0..<20 {
            let weights = (0..<5).map { _ in 1 + random.index(below: 100) }
            let masks = weights.map { _ in (0..<50).map { _ in random.index(below: 2) == 0 } }
            let ballots = masks.map { bools in
                var bitmap = Bitmap(repeating: true, count: 50)
                for (index, isKept) in bools.enumerated() where !isKept { bitmap[index] = false }
                return MaskRanking.vote(of: MaskSet(bitmaps: ["w": bitmap]), layout: [("w", [50])])
            }
            let total = weights.reduce(0, +)
            let shares = (0..<50).map { index in
                Float(
                    zip(weights, ballots).reduce(0.0) { $0 + Double($1.0) * Double($1.1["w"]!.floats[index]) }
                        / Double(total))
            }
            let found = bits(try MaskRanking.kept(byVotes: votes(shares), rule: .majority, previous: MaskSet()), "w")
            for index in 0..<50 {
                let sum = zip(weights, masks).reduce(0) { $0 + ($1.1[index] ? $1.0 : 0) }
                if 2 * sum > total { #expect(found[index]) }
                if 2 * sum < total, shares[index] < shares.max()! { #expect(!found[index]) }
            }
        }
    }

    @Test func wholeTensorsVoteForAll() {
        #expect(MaskRanking.vote(of: MaskSet(), layout: [("w", [3])])["w"]?.floats == [1, 1, 1])
    }
}

struct MaskRegrowTests {
    private func tensors(_ values: [[Float]]) throws -> NamedTensors {
        NamedTensors(try values.enumerated().map { ("t\($0)", Tensor($1, shape: try Shape([$1.count]))) })
    }

    /// Alive: 0 to 3. Half of four die (scores 1 and 2, places 1 and 0), and of the dead {0, 1, 4, 5} the gradients -9 and 3
    /// come to life.
    @Test func theWeakestMakeRoomForTheLargestGradients() throws {
        var alive = Bitmap(repeating: true, count: 6)
        for index in 4..<6 { alive[index] = false }
        let masks = try MaskRanking.regrow(
            scores: tensors([[2, 1, 5, 6, 0, 0]]), gradients: tensors([[3, 0, 8, 8, -9, 2]]), share: 0.5,
            previous: MaskSet(epoch: 1, bitmaps: ["t0": alive]))
        #expect(bits(masks, "t0") == [true, false, true, true, true, false] && masks.epoch == 2)
    }

    @Test func sparsityStaysAndTheBestStay() throws {
        var random = SeededGenerator(seed: 61)
        for scope in [PruningScope.local, .global] {
            for _ in 0..<30 {
                let scores = try tensors((0..<3).map { _ in (0..<40).map { _ in random.uniform() } })
                let gradients = try tensors((0..<3).map { _ in (0..<40).map { _ in random.uniform() - 0.5 } })
                var previous = MaskSet()
                for name in scores.names {
                    var bitmap = Bitmap(repeating: true, count: 40)
                    for _ in 0..<random.index(below: 40) { bitmap[random.index(below: 40)] = false }
                    bitmap[0] = true
                    previous.bitmaps[name] = bitmap
                }
                let share = Double(random.uniform())
                let next = try MaskRanking.regrow(
                    scores: scores, gradients: gradients, share: share, scope: scope, previous: previous)
                func alive(_ masks: MaskSet, _ name: String) -> [Int] {
                    bits(masks, name).enumerated().filter(\.element).map(\.offset)
                }
                var counts = (before: 0, after: 0)
                for name in scores.names {
                    let (before, after) = (alive(previous, name), alive(next, name))
                    counts.before += before.count
                    counts.after += after.count
                    if scope == .local { #expect(before.count == after.count) }
                    let values = try scores.require(name).floats
                    let best = before.max { values[$0] < values[$1] }!
                    #expect(after.contains(best))
                    // What came to life has no smaller gradient than what stayed dead.
                    guard scope == .local else { continue }
                    let sizes = try gradients.require(name).floats.map(abs)
                    let born = after.filter { !before.contains($0) }.map { sizes[$0] }.min() ?? .infinity
                    let dead = (0..<40).filter { !after.contains($0) }.map { sizes[$0] }.max() ?? 0
                    #expect(dead <= born)
                }
                #expect(counts.before == counts.after)
            }
        }
    }

    @Test func nothingChangesAtAShareOfZero() throws {
        var alive = Bitmap(repeating: true, count: 3)
        alive[1] = false
        let previous = MaskSet(bitmaps: ["t0": alive])
        let next = try MaskRanking.regrow(
            scores: tensors([[1, 2, 3]]), gradients: tensors([[9, 9, 9]]), share: 0, previous: previous)
        #expect(next.bitmaps == previous.bitmaps)
        #expect(throws: CompressionError.self) {
            try MaskRanking.regrow(scores: tensors([[1]]), gradients: tensors([[1]]), share: 1.5, previous: MaskSet())
        }
        #expect(throws: CompressionError.missingStatistic("t0", criterion: "regrow")) {
            try MaskRanking.regrow(scores: tensors([[1]]), gradients: NamedTensors(), share: 0.5, previous: MaskSet())
        }
    }
}
