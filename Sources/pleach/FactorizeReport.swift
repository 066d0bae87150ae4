import Compression
import Engine
import Foundation
import ModelGraph
import Monitor

/// How far a factorized model is from the given one on random input.
struct FactorizeCheck: Codable {
    var samples: Int
    var largestDifference: Double
    /// Over the given model's largest output.
    var relativeDifference: Double

    /// - Throws: `EngineError` for a model that does not run; `ModelError` where outputs are not finite.
    init(given: Graph, factorized: Graph, extents: [String: Int]) throws {
        samples = RandomBatch.rows(for: given)
        let inputs = try RandomBatch.inputs(for: given, rows: samples, extents: extents)
        let expected = try Executable(given).run(inputs)
        let found = try Executable(factorized).run(inputs)
        var (difference, largest) = (0.0, 0.0)
        for (name, tensor) in expected.ordered {
            let (a, b) = (tensor.convertedToFloat32().floats, try found.require(name).convertedToFloat32().floats)
            for (old, new) in zip(a, b) {
                guard old.isFinite, new.isFinite else {
                    throw ModelError.invalidRequest("--check: output '\(name)' is not finite on random input")
                }
                (difference, largest) = (max(difference, Double(abs(old - new))), max(largest, Double(abs(old))))
            }
        }
        (largestDifference, relativeDifference) = (difference, difference / max(largest, .leastNormalMagnitude))
    }
}

/// What `pleach model factorize` did.
struct FactorizeReport: Codable {
    struct Layer: Codable {
        var name: String
        var method: String
        var rank: String
        var parametersBefore: Int
        var parametersAfter: Int
        var macsBefore: Int
        var macsAfter: Int
        var energyKept: Double
        var dataAware: Bool
    }

    struct Staying: Codable {
        var name: String
        var reason: String
    }

    var out = ""
    var before: PruneReport.Sizes
    var after: PruneReport.Sizes
    var layers: [Layer]
    /// Weights that stay as they are.
    var staying: [Staying]
    var remarks: [String] = []
    var check: FactorizeCheck?

    init(_ result: FactorizedModel, before: PruneReport.Sizes, after: PruneReport.Sizes) {
        (self.before, self.after) = (before, after)
        layers = result.layers.map {
            Layer(
                name: $0.name, method: $0.method.rawValue, rank: "\($0.rank)", parametersBefore: $0.parametersBefore,
                parametersAfter: $0.parametersAfter, macsBefore: $0.macsBefore, macsAfter: $0.macsAfter,
                energyKept: $0.energyKept, dataAware: $0.isDataAware)
        }
        staying = result.staying.map { Staying(name: $0.name, reason: $0.reason) }
    }

    /// The report for a terminal.
    var lines: [String] {
        var table = TextTable(
            ["layer", "method", "rank", "parameters", "left", "MACs", "left", "energy kept"],
            numbers: [2, 3, 4, 5, 6, 7])
        for layer in layers {
            table.add([
                layer.name, layer.method, layer.rank, "\(layer.parametersBefore)", "\(layer.parametersAfter)",
                "\(layer.macsBefore)", "\(layer.macsAfter)",
                String(format: "%.2f %%%@", layer.energyKept * 100, layer.dataAware ? " of outputs" : ""),
            ])
        }
        var lines = table.lines + [""] + before.lines(comparedWith: after)
        lines += (staying.map { "\($0.name) stays: \($0.reason)" } + remarks).map {
            escapedForTerminal($0, limit: 4000)
        }
        if let check {
            lines.append(
                String(
                    format: "check: outputs differ by %.2g at most, %.2g of the largest output (%d samples)",
                    check.largestDifference, check.relativeDifference, check.samples))
        }
        return lines + [out]
    }
}
