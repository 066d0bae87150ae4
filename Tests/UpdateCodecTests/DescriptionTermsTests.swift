import Foundation
import Tensors
import Testing

@testable import UpdateCodec

struct DescriptionTermsTests {
    @Test func everyWordThatATableCanHoldIsExplained() {
        let words =
            UpdateKind.allCases.map { "\($0)" } + PositionScheme.allCases.map(\.name) + ValueFormat.allCases.map(\.name)
            + MaskForm.allCases.map(\.name)
        for word in words { #expect(UpdateDescription.meanings[word]?.isEmpty == false, "'\(word)'") }
    }

    @Test func onlyWhatOccursIsExplained() throws {
        let update = try UpdateEncoder.encode(
            Fixtures.model(seed: 1), header: Fixtures.header(.delta, maskEpoch: 4),
            scheme: WireScheme(selection: .topK(density: 0.01), values: .ternary, smallTensorElements: 100),
            masks: Fixtures.masks(epoch: 4))
        let description = try UpdateDescription(describing: update.bytes)
        let words = description.terms.map(\.word)
        #expect(Set(words).count == words.count)
        #expect(Set(words).isSuperset(of: ["delta", "alive", "sent", "gaps", "dense", "ternary", "f16", "block"]))
        #expect(Set(words).isDisjoint(with: ["update", "int8", "rotated", "removed", "mask", "codebook16"]))
        #expect(description.terms.allSatisfy { !$0.meaning.isEmpty })
        #expect(description.glossary.split(separator: "\n").count == words.count)
        // Each word stands in what it explains; "mask" begins its own lines.
        for word in words { #expect(description.table.contains(word), "'\(word)'") }
    }

    @Test func everyGoldenVectorIsExplained() throws {
        for vector in GoldenVector.all {
            let description = try UpdateDescription(describing: vector.encoded().bytes)
            #expect(description.terms.allSatisfy { !$0.meaning.isEmpty })
            for term in description.terms { #expect(description.table.contains(term.word), "'\(term.word)'") }
        }
    }

    @Test func comparesWithFloat32() throws {
        let model = Fixtures.model(seed: 2)
        let update = try UpdateEncoder.encode(model, header: Fixtures.header(), scheme: WireScheme(values: .int8))
        let description = try UpdateDescription(describing: update.bytes)
        #expect(description.float32Bytes == 4 * model.elementCount)
        #expect(description.ratio == Double(4 * model.elementCount) / Double(update.bytes.count))
        #expect(description.comparison.contains("\(4 * model.elementCount) bytes"))
    }

    /// A file may claim any number of elements.
    @Test func aClaimOfTooManyElementsDoesNotOverflow() throws {
        let body: [UInt8] = [1] + [UInt8](repeating: 0xff, count: 8) + [0x7f, 0]
        var bytes = [UInt8](repeating: 0, count: UpdateHeader.byteCount) + body
        ContainerPrefix(header: Fixtures.header(), packing: .stored, carriesMasks: false, bodyByteCount: body.count)
            .write(over: &bytes)
        #expect(try UpdateDescription(describing: bytes).float32Bytes == .max)
    }

    @Test func aMappedFileIsDescribedTheSame() throws {
        let bytes = try UpdateEncoder.encode(
            Fixtures.model(seed: 3), header: Fixtures.header(), scheme: WireScheme(values: .int4)
        ).bytes
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("mapped-\(UUID().uuidString)").path
        defer { unlink(path) }
        try FileBytes.write(bytes, path: path)
        #expect(try UpdateDescription(describing: MappedFile(path: path)) == UpdateDescription(describing: bytes))
    }

    @Test func packedGraphsTellHowTheyTravel() throws {
        let text = Array(String(repeating: "a graph of operators; ", count: 90).utf8)
        let packed = PackedBlob.pack(text)
        #expect(packed.starts(with: PackedBlob.magic))
        let description = try PackedBlobDescription(describing: packed, byteLimit: text.count)
        #expect(description.content == text && description.bytes == packed.count && description.packing == "lz4")
        #expect(try PackedBlobDescription(describing: PackedBlob.pack([7]), byteLimit: 1).packing == "stored")
        #expect(throws: CodecError.self) { try PackedBlobDescription(describing: packed, byteLimit: text.count - 1) }
        #expect(throws: CodecError.self) { try PackedBlobDescription(describing: [], byteLimit: 1) }
    }
}
