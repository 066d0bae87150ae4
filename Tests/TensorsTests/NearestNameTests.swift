import Testing

@testable import Tensors

@Suite struct NearestNameTests {
    @Test func findsTypingErrors() {
        let names = ["rounds", "roundsPerStep", "epochs", "lease"]
        #expect(NearestName.suggestion(for: "roundz", in: names) == "rounds")
        #expect(NearestName.suggestion(for: "ROUNDS", in: names) == "rounds")
        #expect(NearestName.suggestion(for: "roundsperstp", in: names) == "roundsPerStep")
        #expect(NearestName.suggestion(for: "elase", in: names) == "lease")
        #expect(NearestName.suggestion(for: "momentum", in: names) == nil)
        #expect(NearestName.suggestion(for: "", in: ["up"]) == nil)
        #expect(NearestName.suggestion(for: String(repeating: "a", count: 100_000), in: names) == nil)
    }

    @Test func swappedNeighboursCountOnce() {
        #expect(NearestName.editDistance("tarin", "train") == 1)
        #expect(NearestName.editDistance("abc", "") == 3)
        #expect(NearestName.editDistance("kitten", "sitting") == 3)
    }
}
