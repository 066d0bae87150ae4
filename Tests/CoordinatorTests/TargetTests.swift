import Federation
import ModelGraph
import Testing

/// Targets have two lists, because a plan may not import what writes files: one word must mean the same in both.
struct TargetTests {
    @Test func plansAndFilesKnowTheSameTargets() {
        #expect(ExportTarget.allCases.map(\.rawValue) == DeploymentTarget.allCases.map(\.rawValue))
    }

    @Test(arguments: ExportTarget.allCases) func theyAskForTheSame(target: ExportTarget) throws {
        let written = try #require(DeploymentTarget(rawValue: target.rawValue))
        #expect(target.hasIntegerWeights == written.hasIntegerWeights)
        #expect(target.needsCalibration == written.needsCalibration)
    }
}
