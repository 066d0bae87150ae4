import Federation
import ModelGraph
import Testing

@testable import Coordinator

/// What cannot work is refused before the first round, with the stage and what helps.
struct StageRehearsalTests {
    private static func resnet() throws -> Graph {
        try ModelBuilder.build(architecture: "resnet20", inputShape: [3, 8, 8], classes: 4, width: 8, seed: 5)
    }

    /// As if a machine did a thousand million multiply-accumulates a second and needed 1 ms for the rest.
    private static func time(_ models: [() throws -> Graph]) throws(LatencyError) -> [Double] {
        models.map { make in 1 + Double((try? make().multiplyAccumulates()) ?? 0) / 1e6 }
    }

    private static func plan(_ stages: String) throws -> Plan {
        try Plan.parse(
            "model: {architecture: resnet20}\nstages: [\(stages)]", path: "plan", environment: [:])
    }

    private static func refusal(
        _ stages: String, time: @escaping ModelTiming = Self.time
    ) throws -> String? {
        do {
            _ = try StageRehearsal.check(plan(stages), graph: resnet(), time: time)
            return nil
        } catch let error as CoordinatorError {
            guard case .model(let message) = error else { throw error }
            return message
        }
    }

    @Test(arguments: [
        ("{prune: {exclude: [block1.conv1.weigt]}}", "did you mean 'block1.conv1.weight'?"),
        ("{prune: {granularity: channel, exclude: [layer9]}}", "layer9"),
        ("{prune: {granularity: head}}", "no attention heads"),
        ("{prune: {granularity: channel, budget: {macs: 0.01}}}", "the smallest"),
        ("{prune: {granularity: channel, criterion: taylor, budget: {weights: 0.001}}}", "the smallest"),
        ("{prune: {granularity: channel, budget: {bytes: 20KB}}}", "the smallest"),
        ("{prune: {granularity: layer, budget: {macs: 0.05}}}", "the smallest"),
        ("{prune: {granularity: channel, budget: {milliseconds: 0.5}}}", "0.5 ms cannot be met"),
        ("{factorize: {budget: {macs: 0.001}}}", "the smallest"),
        ("{factorize: {budget: {parameters: 0.01}}}", "the smallest"),
        ("{factorize: {evbmf: true, exclude: [block1.conv1.weigt]}}", "did you mean 'block1.conv1.weight'?"),
        ("{factorize: {energy: 0.9, only: [layer9]}}", "layer9"),
        ("{factorize: {energy: 0.9, method: svd, only: [block1.conv1.weight]}}", "spatial or tucker"),
    ])
    func whatCannotWorkIsRefused(stages: String, phrase: String) throws {
        let message = try #require(try Self.refusal(stages), "not refused")
        let kind = stages.contains("factorize") ? "factorize" : "prune"
        #expect(message.hasPrefix("stage 1 (\(kind)): ") && message.contains(phrase), "\(message)")
    }

    @Test(arguments: [
        "{prune: {granularity: channel, criterion: gradientNorm, multiple: 4, budget: {macs: 0.5}}}",
        "{prune: {granularity: channel, criterion: stability, rule: majority}}",
        "{prune: {granularity: channel, criterion: bnScale}}",
        "{prune: {granularity: layer, criterion: movement, sparsity: 0.3}}",
        "{prune: {granularity: block, criterion: fisher}}",
        "{prune: {granularity: '2:4', criterion: taylor}}",
        "{prune: {schedule: dynamic}}",
        "{prune: {granularity: channel, budget: {milliseconds: 2}, borders: keep, multiple: 4}}",
        "{train: {rounds: 1}}",
        "{factorize: {budget: {macs: 0.5}, multiple: 4}}",
        "{factorize: {energy: 0.999, samples: 0}}, {prune: {exclude: [block1.conv1.weight]}}",
        "{factorize: {budget: {parameters: 0.6}, of: layers, only: [block1.conv1], multiple: 1, method: spatial}}, {prune: {exclude: [block1.conv1.weight.u, block2.conv1.weight]}}",
        "{prune: {granularity: channel, multiple: 4, budget: {macs: 0.6}}}, {factorize: {evbmf: true, multiple: 1}}",
        "{prune: {sparsity: 0.5, exclude: [block9.conv2.weight]}}, {factorize: {evbmf: true, multiple: 1}}",
    ])
    func whatWorksPasses(stages: String) throws { #expect(try Self.refusal(stages) == nil) }

    /// A second quarter of what a first has left is a sixteenth, which a multiple of 4 of these widths cannot reach.
    @Test func stagesBeginWithWhatTheOnesBeforeLeave() throws {
        let quarter = "{prune: {granularity: channel, multiple: 4, budget: {macs: 0.3}}}"
        #expect(try Self.refusal(quarter) == nil)
        let message = try #require(try Self.refusal("{train: {}}, \(quarter), \(quarter)"))
        #expect(message.hasPrefix("stage 3 (prune): "), "\(message)")
        // After a budget of time too.
        let whole = try Self.time([Self.resnet])[0]
        let timed = "{prune: {granularity: channel, multiple: 4, budget: {milliseconds: \(1 + (whole - 1) * 0.3)}}}"
        #expect(try Self.refusal(timed) == nil)
        #expect(try Self.refusal("\(timed), \(quarter)")?.hasPrefix("stage 2 (prune): ") == true)
    }

    /// What a stage leaves is what the next begins with, whichever kind it is of.
    @Test func factorizedModelsAreGoneOnWith() throws {
        let half = "{factorize: {budget: {macs: 0.5}, multiple: 1}}"
        #expect(try Self.refusal(half) == nil)
        let message = try #require(try Self.refusal(Array(repeating: half, count: 8).joined(separator: ", ")))
        #expect(message.contains("(factorize): ") && !message.hasPrefix("stage 1 "), "\(message)")
        // Names of factors are known only behind the stage that makes them.
        let factors = "{prune: {exclude: [block1.conv1.weight.u]}}"
        let ahead = try #require(try Self.refusal("\(factors), \(half)"))
        #expect(ahead.hasPrefix("stage 1 (prune): "), "\(ahead)")
        let unknown = try #require(try Self.refusal("\(half), {prune: {exclude: [block1.conv1.weigth]}}"))
        #expect(unknown.hasPrefix("stage 2 (prune): "), "\(unknown)")
        let masked = try #require(try Self.refusal("{prune: {}}, \(half)"))
        #expect(masked.hasPrefix("stage 2 (factorize): ") && masked.contains("dead weights"), "\(masked)")
    }

    @Test func momentsMustFitTheLimits() throws {
        let graph = try ModelBuilder.build(
            architecture: "mlp", inputShape: [1, 30, 30], classes: 900, width: 900, seed: 1)
        let plan = try Plan.parse(
            "model: {architecture: mlp}\nlimits: {blob: 1MiB}\nstages: [{factorize: {evbmf: true}}]", path: "plan",
            environment: [:])
        let error = #expect(throws: CoordinatorError.self) {
            _ = try StageRehearsal.check(plan, graph: graph, time: Self.time)
        }
        #expect(error?.description.contains("raise it, name fewer layers or set 'samples' to 0") == true)
    }

    @Test func whereNothingCanBeMeasuredTheReasonIsTold() throws {
        let message = try Self.refusal("{prune: {granularity: channel, budget: {milliseconds: 2}}}") {
            _ throws(LatencyError) in throw .notMeasured(reason: "no Python with onnxruntime found; set PLEACH_PYTHON")
        }
        #expect(message?.contains("set PLEACH_PYTHON") == true && message?.contains("'macs'") == true)
    }
}
