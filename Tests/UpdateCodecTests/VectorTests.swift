import Foundation
import Tensors
import Testing

@testable import UpdateCodec

/// protocols/vectors: bytes and expected values any implementation can test against. A difference means that the format
/// changed; `PLEACH_WRITE_VECTORS=1` writes them anew when that is meant.
struct VectorTests {
    private struct TensorFacts: Codable {
        var name: String
        var shape: [Int]
        /// Float32 values, exact as decimal doubles.
        var values: [Double]
        /// Hexadecimal bitmaps, bit i of byte i/8 for element i; nil when all are alive.
        var maskBefore: String?
        var maskAfter: String?
    }

    private struct Facts: Codable {
        var file: String
        var kind: UInt8
        var base: String
        var maskEpochBefore: UInt32
        var maskEpoch: UInt32
        var squaredNorm: Double
        var tensors: [TensorFacts]
    }

    private struct FoldFacts: Codable {
        var files: [String]
        var weights: [UInt32]
        var mean: [[Double]]
    }

    private struct Book: Codable {
        var vectors: [Facts]
        var folds: [FoldFacts]
    }

    private static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "protocols/vectors")
    private static let isWriting = ProcessInfo.processInfo.environment["PLEACH_WRITE_VECTORS"] == "1"

    private func hex(_ bytes: [UInt8]) -> String { bytes.map { String(format: "%02x", $0) }.joined() }

    private func facts(_ vector: GoldenVector, _ bytes: [UInt8]) throws -> Facts {
        let reader = try UpdateReader(bytes, layout: TensorLayout(vector.tensors), masks: vector.masks)
        let after = reader.newMasks ?? vector.masks
        let tensors = try reader.decode().ordered.map { name, tensor in
            TensorFacts(
                name: name, shape: tensor.shape.dimensions, values: tensor.floats.map { Double($0) },
                maskBefore: vector.masks[name].map { hex($0.bytes) }, maskAfter: after[name].map { hex($0.bytes) })
        }
        return Facts(
            file: vector.name + ".bin", kind: reader.header.kind.rawValue, base: hex(reader.header.base),
            maskEpochBefore: vector.masks.epoch, maskEpoch: reader.header.maskEpoch,
            squaredNorm: reader.squaredNorm(), tensors: tensors)
    }

    /// Two updates of the same layout and mask, folded.
    private func foldFacts() throws -> FoldFacts {
        let names = ["mask-aligned-int8", "mask-aligned-gaps-int4"]
        let vectors = names.compactMap { name in GoldenVector.all.first { $0.name == name } }
        let weights: [UInt32] = [3, 5]
        var fold = FoldAccumulator(layout: TensorLayout(vectors[0].tensors))
        for (vector, weight) in zip(vectors, weights) {
            let bytes = try Array(Data(contentsOf: Self.folder.appending(path: vector.name + ".bin")))
            try fold.add(UpdateReader(bytes, layout: fold.layout, masks: vector.masks), weight: weight)
        }
        let mean = fold.mean().ordered.map { $0.tensor.floats.map { Double($0) } }
        return FoldFacts(files: names.map { $0 + ".bin" }, weights: weights, mean: mean)
    }

    @Test func bytesAndValuesAreThoseOfTheBook() throws {
        var book = Book(vectors: [], folds: [])
        for vector in GoldenVector.all {
            let encoded = try vector.encoded()
            let file = Self.folder.appending(path: vector.name + ".bin")
            if Self.isWriting { try Data(encoded.bytes).write(to: file) }
            let stored = try Array(Data(contentsOf: file))
            #expect(encoded.bytes == stored, "\(vector.name)")
            book.vectors.append(try facts(vector, stored))
        }
        book.folds.append(try foldFacts())
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        let text = try encoder.encode(book) + Data("\n".utf8)
        let file = Self.folder.appending(path: "vectors.json")
        if Self.isWriting { try text.write(to: file) }
        #expect(try Data(contentsOf: file) == text)
    }

    @Test func vectorsCoverEveryForm() throws {
        let descriptions = try GoldenVector.all.map { try UpdateDescription(describing: $0.encoded().bytes) }
        let records = descriptions.flatMap(\.tensors)
        #expect(Set(records.map(\.positions)) == Set(PositionScheme.allCases.map(\.name)))
        #expect(Set(records.map(\.values)) == Set(ValueFormat.allCases.map(\.name)))
        #expect(Set(records.map(\.coding)) == ["plain", "rice"])
        let rice = records.filter { $0.coding == "rice" }.map(\.values)
        #expect(Set(rice) == ["int8", "int6", "int4", "int3"])
        let rotated = records.filter(\.rotated).map(\.values)
        #expect(Set(rotated) == ["int4", "int3", "int2", "sign", "codebook16"])
        #expect(Set(descriptions.map(\.packing)) == ["stored", "lz4"])
        #expect(Set(descriptions.map(\.kind)) == ["update", "delta", "scores", "logits"])
        let changes = descriptions.flatMap(\.maskChanges)
        #expect(Set(changes.map(\.coding)) == Set(MaskForm.allCases.map(\.name)))
        #expect(Set(changes.map(\.relative)) == [true, false])
    }
}
