import Federation
import Foundation
import ModelGraph
import Testing
import UpdateCodec

@testable import Coordinator

/// Rounds, bytes and work of plans, foreseen.
struct RunForecastTests {
    private static func forecast(
        _ stages: String, _ extra: String = "", model: String = "{architecture: cnn, width: 4}"
    ) throws -> (Plan, RunForecast) {
        let plan = try Plan.parse(
            "model: \(model)\nfleet: {workers: 3}\nstages: [\(stages)]\n\(extra)", path: "plan", environment: [:])
        let place = FileManager.default.temporaryDirectory.appendingPathComponent("forecast-\(UUID().uuidString)")
        let examined = try ExaminedModel(plan: plan, measuringIn: place.path)
        #expect(!FileManager.default.fileExists(atPath: place.path))
        return (plan, try RunForecast(plan: plan, examined: examined))
    }

    @Test(arguments: [
        "train", "{train: {rounds: 3}}, evaluate", "{prune: {criterion: taylor, steps: 2}}",
        "{train: {rounds: 1}}, {prune: {granularity: channel, criterion: l2, multiple: 1, sparsity: 0.4, steps: 2}}, {distill: {teacher: {stage: 1}, rounds: 2}}",
        "{factorize: {energy: 0.9, rounds: 2, multiple: 1}}", "{train: {}}, {quantize: {}}", "{quantize: {}}",
        "{train: {rounds: 1}}, {quantize: {averageBits: 4, rounding: adaround, samples: 64}}",
        "{train: {rounds: 1}}, {quantize: {rounds: 2, reestimate: true}}",
    ])
    func roundsAreThoseOfThePlan(stages: String) throws {
        let (plan, forecast) = try Self.forecast(stages)
        #expect(forecast.rounds == plan.roundsPlanned)
        #expect(forecast.stages.map(\.kind) == plan.stages.map(\.kind))
        #expect(forecast.bytesUp > 0 && forecast.bytesDown > 0)
        #expect(forecast.coordinatorMemoryBytes > 100 << 20 && forecast.workerMemoryBytes > 100 << 20)
    }

    /// A lossless wire has no secrets: 4 bytes a parameter, both ways, and a bundled model costs nothing to begin with.
    @Test func float32IsFourBytesAParameter() throws {
        let wire = "wire: {up: {values: float32}, down: {values: float32}}"
        let (_, forecast) = try Self.forecast("{train: {rounds: 4}}", wire)
        let training = try #require(forecast.stages[0].rounds.first { $0.task == "train" })
        let parameters = Double(forecast.parameters)
        #expect(abs(Double(training.bytesUp) / (4 * 4 * parameters) - 1) < 0.02, "\(training)")
        // The first round fetches nothing, the evaluation what the last one made.
        #expect(abs(Double(training.bytesDown) / (3 * 4 * parameters) - 1) < 0.02, "\(training)")
        #expect(forecast.bytesFloat32 == 3 * 4 * 2 * 4 * forecast.parameters)
        let whole = forecast.bytesUp + forecast.bytesDown
        #expect(abs(Double(whole) / Double(forecast.bytesFloat32) - 1) < 0.02)
        #expect(training.work.eachTrainingSample == 4 * 3 * Double(try #require(forecast.macs)))
    }

    @Test func budgetsHold() throws {
        let (_, forecast) = try Self.forecast("{train: {rounds: 2}}", "wire: {budget: 5KB}")
        let training = try #require(forecast.stages[0].rounds.first)
        #expect((10_000..<11_000).contains(training.bytesUp), "\(training)")
    }

    /// What is masked or gone is no longer sent.
    @Test func updatesShrinkWithTheModel() throws {
        func ofTraining(_ stages: String) throws -> Int {
            let (_, forecast) = try Self.forecast(stages)
            let rounds = try #require(forecast.stages.last?.rounds.first { $0.task == "train" })
            return rounds.bytesUp / rounds.count
        }
        let whole = try ofTraining("{train: {rounds: 1}}")
        let masked = try ofTraining("{prune: {criterion: l2, sparsity: 0.8, steps: 1}}")
        #expect(masked < whole / 3, "\(masked) of \(whole)")
        let narrow = try ofTraining(
            "{prune: {granularity: channel, criterion: l2, budget: {macs: 0.3}, multiple: 1, steps: 1}}")
        #expect(narrow < whole * 3 / 4, "\(narrow) of \(whole)")
    }

    @Test func aCompactFileIsFetchedOnceAndSmaller() throws {
        let (_, forecast) = try Self.forecast("{train: {rounds: 1}}, {quantize: {samples: 64}}")
        let stage = try #require(forecast.stages.last)
        let file = try #require(stage.fileBytes)
        #expect(file < forecast.modelBytes / 2)
        #expect(stage.bytesDown > file && stage.bytesDown < 2 * file + 4000, "\(stage)")
    }
}
