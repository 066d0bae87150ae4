import Compression
import Federation
import Shell
import Testing

/// A plan's words and the numerics behind them say the same of what goes together.
struct MaskWordsTests {
    @Test(arguments: PruningCriterionKind.allCases) func criteriaRankWhatThePlanSaysTheyRank(
        kind: PruningCriterionKind
    ) {
        let criterion = PruningCriterion(kind)
        #expect(criterion.rawValue == "\(kind)")
        #expect((criterion.statistic != nil) == kind.readsData)
        for granularity in PruningGranularity.allCases {
            let ranked: [PruningCriterion] =
                switch granularity {
                case .weight, .block, .twoOfFour: PruningCriterion.forWeights
                case .channel: PruningCriterion.forChannels
                case .head: PruningCriterion.forHeads
                case .layer: PruningCriterion.forBlocks
                }
            #expect(kind.fits(granularity) == ranked.contains(criterion), "\(kind) of \(granularity)")
        }
    }
}
