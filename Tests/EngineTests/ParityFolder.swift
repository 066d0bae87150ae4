import Foundation
import ModelGraph
import Tensors

/// Models and references that `make parity` writes, in the folder that `PLEACH_PARITY` names.
///
/// `fixtures/NAME.onnx` and `.safetensors`: PyTorch's training and evaluation (`Tests/parity/make_fixture.py`).
/// `exports/NAME.onnx`, `.inputs.safetensors`, `.outputs.safetensors`: ONNX Runtime's (`Tests/parity/export_models.py`).
enum ParityFolder {
    static let path = ProcessInfo.processInfo.environment["PLEACH_PARITY"]

    static let fixtures = names(in: "fixtures")
    static let exports = names(in: "exports")

    static func read(_ file: String) throws -> NamedTensors {
        try Safetensors.read(path: "\(path ?? "")/\(file).safetensors").tensors
    }

    static func graph(_ file: String) throws -> Graph { try Graph.load(path: "\(path ?? "")/\(file).onnx") }

    /// In the order of the alphabet.
    private static func names(in folder: String) -> [String] {
        guard let path, let files = try? FileManager.default.contentsOfDirectory(atPath: "\(path)/\(folder)") else {
            return []
        }
        return files.filter { $0.hasSuffix(".onnx") }.map { String($0.dropLast(".onnx".count)) }.sorted()
    }
}

/// How far a tensor is from its reference.
struct Agreement: CustomStringConvertible {
    /// Largest difference over the largest value of the whole reference, among elements that the reference determines.
    private(set) var relative = 0.0
    /// Largest difference among the others, and what it may be.
    private(set) var absolute = 0.0
    private(set) var bound = 0.0
    private(set) var mismatch: String?

    /// - Parameters:
    ///   - undetermined: uint8 of the tensors' shape, 1 where rounding decides the reference's value; nil for nowhere.
    ///   - bound: what the difference of those elements may be.
    init(_ found: Tensor, _ expected: Tensor, undetermined: Tensor? = nil, bound: Double = 0) {
        self.bound = bound
        guard found.elementType == .float32, expected.elementType == .float32, found.shape == expected.shape,
            undetermined.map({ $0.elementType == .uint8 && $0.shape == expected.shape }) ?? true
        else {
            mismatch = "\(found.elementType) \(found.shape) instead of \(expected.elementType) \(expected.shape)"
            return
        }
        let doubtful: [UInt8]? = undetermined?.bytes
        var (largest, certain, uncertain) = (Float(0), Float(0), Float(0))
        found.withElements(as: Float.self) { found in
            expected.withElements(as: Float.self) { expected in
                for index in 0..<expected.count {
                    largest = max(largest, abs(expected[index]))
                    var difference = abs(found[index] - expected[index])
                    // A comparison with NaN is false, which would hide it.
                    if difference.isNaN { difference = .infinity }
                    if let doubtful, doubtful[index] != 0 {
                        if difference > uncertain { uncertain = difference }
                    } else if difference > certain {
                        certain = difference
                    }
                }
            }
        }
        relative = Double(certain) / Double(max(largest, .leastNormalMagnitude))
        absolute = Double(uncertain)
    }

    func holds(within tolerance: Double) -> Bool { mismatch == nil && relative < tolerance && absolute <= bound }

    var description: String {
        if let mismatch { return mismatch }
        let certain = String(format: "%.1e", relative)
        return absolute > bound ? certain + String(format: " (rounded: %.1e > %.1e)", absolute, bound) : certain
    }
}

/// Tensors of one model that disagree with their reference, for one line of a test's failure.
struct Disagreements: CustomStringConvertible {
    private(set) var compared = 0
    private var found: [(key: String, agreement: Agreement)] = []

    var isEmpty: Bool { found.isEmpty }

    mutating func compare(
        _ key: String, _ tensor: Tensor, with reference: NamedTensors, tolerance: Double = 1e-4
    ) throws {
        compared += 1
        let bound = reference["bound.\(key)"]?.floats.first
        let agreement = Agreement(
            tensor, try reference.require(key), undetermined: reference["undetermined.\(key)"],
            bound: Double(bound ?? 0))
        if !agreement.holds(within: tolerance) { found.append((key, agreement)) }
    }

    var description: String {
        let worst = found.sorted { $0.agreement.relative > $1.agreement.relative }.prefix(6)
        return "\(found.count) of \(compared) differ: "
            + worst.map { "\($0.key) \($0.agreement)" }.joined(separator: ", ")
    }
}
