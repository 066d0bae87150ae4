import Tensors
import Testing

@testable import UpdateCodec

/// Bytes that lie. A reader may refuse or accept them; it must not trap, hang or allocate what they claim.
struct HostileTests {
    /// Reads as a receiver would, to the end. True when the bytes were accepted.
    static func survives(_ bytes: [UInt8], _ vector: GoldenVector) -> Bool {
        _ = try? UpdateDescription(describing: bytes)
        let layout = TensorLayout(vector.tensors)
        guard let reader = try? UpdateReader(bytes, layout: layout, masks: vector.masks) else { return false }
        // What was accepted is walked through below; of large vectors that has been done for other damage often enough.
        guard layout.elementCount < 1_000 || bytes.count % 97 == 0 else { return true }
        guard let decoded = try? reader.decode() else {
            Issue.record("\(vector.name): accepted by init, refused by decode")
            return false
        }
        for (_, tensor) in decoded.ordered { #expect(tensor.floats.allSatisfy { $0.isFinite }) }
        var fold = FoldAccumulator(layout: layout)
        let isFoldable = decoded.ordered.allSatisfy { $0.tensor.floats.allSatisfy { $0.magnitude <= 256 } }
        let wasFolded = (try? fold.add(reader, weight: 3)) != nil
        #expect(wasFolded == isFoldable)
        return true
    }

    @Test(arguments: GoldenVector.all) func everyTruncationIsRefused(_ vector: GoldenVector) throws {
        let bytes = try vector.encoded().bytes
        for count in bytes.indices {
            #expect(!Self.survives(Array(bytes[..<count]), vector), "cut to \(count) of \(bytes.count)")
            #expect(throws: CodecError.self) { try UpdateDescription(describing: Array(bytes[..<count])) }
        }
        #expect(!Self.survives(bytes + [0], vector))
        #expect(Self.survives(bytes, vector))
    }

    @Test(arguments: GoldenVector.all) func everyBitFlipIsSurvived(_ vector: GoldenVector) throws {
        let bytes = try vector.encoded().bytes
        var refused = 0
        for bit in 0..<bytes.count * 8 {
            var damaged = bytes
            damaged[bit / 8] ^= 1 << UInt8(bit % 8)
            if !Self.survives(damaged, vector) { refused += 1 }
        }
        // All of magic, version, packing, flags, mask epoch and sizes at the least: 4 + 1 + 1 + 1 + 4 + 8 bytes; a flip
        // of the packing or kind may still hit another legal value.
        #expect(refused > 8 * 16)
    }

    @Test func seededMutationsAreSurvived() throws {
        var generator = SeededGenerator(seed: 2_024)
        let vectors = GoldenVector.all
        let originals = try vectors.map { try $0.encoded().bytes }
        for _ in 0..<4_000 {
            let choice = generator.index(below: vectors.count)
            var bytes = originals[choice]
            for _ in 0...generator.index(below: 4) {
                let place = generator.index(below: bytes.count)
                switch generator.index(below: 5) {
                case 0: bytes[place] = UInt8(truncatingIfNeeded: generator.next())
                case 1: bytes[place] = [0, 1, 0x7f, 0x80, 0xff][generator.index(below: 5)]
                case 2: bytes.insert(0xff, at: place)
                case 3 where bytes.count > 1: bytes.remove(at: place)
                default: bytes.swapAt(place, generator.index(below: bytes.count))
                }
            }
            _ = Self.survives(bytes, vectors[choice])
        }
    }

    // MARK: Crafted containers

    private static let layout = TensorLayout(NamedTensors([("x", Tensor(zeros: [100]))]))

    private func container(
        body: [UInt8], packing: ContainerPrefix.Packing = .stored, carriesMasks: Bool = false, claimed: Int? = nil
    ) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: UpdateHeader.byteCount)
        ContainerPrefix(
            header: Fixtures.header(), packing: packing, carriesMasks: carriesMasks,
            bodyByteCount: claimed ?? body.count
        ).write(over: &bytes)
        return bytes + body
    }

    private func expectRefusal(_ bytes: [UInt8], _ wanted: String, _ limits: CodecLimits = .default) {
        do throws(CodecError) {
            _ = try UpdateReader(bytes, layout: Self.layout, limits: limits)
            Issue.record("accepted: \(wanted)")
        } catch {
            #expect("\(error)".contains(wanted), "\(error)")
        }
    }

    @Test func lz4BombsAreRefusedBeforeAllocation() {
        expectRefusal(container(body: [1, 2, 3], packing: .pieces, claimed: 1 << 40), "the body size")
        expectRefusal(container(body: [1, 2, 3], packing: .pieces, claimed: Int.max), "the body size")
        // Within the limits, beyond what this layout can need.
        expectRefusal(container(body: [1, 2, 3], packing: .pieces, claimed: 1 << 30), "the body size")
        // Within the layout's need, beyond what LZ4 can expand to.
        expectRefusal(container(body: [1], packing: .pieces, claimed: 600), "cannot unpack to 600 bytes")
        expectRefusal(
            container(body: [1, 0, 0, 0, 9], packing: .pieces, claimed: 600), "is not valid LZ4 of 600 bytes")
        #expect(throws: CodecError.self) {
            try UpdateDescription(describing: container(body: [1, 2, 3], packing: .pieces, claimed: 1 << 31))
        }
        #expect(LZ4Block.decompress(ByteRegion([0x10, 0x61]), 0..<2, count: 0) == nil)
    }

    @Test func hugeCountsAreRefused() {
        let huge: [UInt8] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]
        expectRefusal(container(body: huge), "the count of tensors")
        expectRefusal(container(body: [1] + huge), "the update is for 1 tensors")
        expectRefusal(container(body: [2, 100, 0]), "the update is for 2 tensors")
        expectRefusal(container(body: [1, 100] + huge), "the count of records")
        expectRefusal(container(body: [1, 100, 1] + huge), "a tensor index")
        expectRefusal(container(body: [1, 100, 1, 0] + huge), "an element count")
        expectRefusal(container(body: [1, 100, 1, 0, 100] + huge), "a count of dead elements")
        expectRefusal(container(body: [1, 100, 1, 0, 100, 0, 1, 0] + huge), "a count of sent values")
        expectRefusal(container(body: [1, 100, 1, 0, 100, 0, 0, 3, 0] + huge), "a block size")
        expectRefusal(container(body: [UInt8](repeating: 0xff, count: 9) + [1]), "is longer than 9 bytes")
        expectRefusal(container(body: [0x81, 0, 100, 0]), "is not in its shortest form")
        expectRefusal(
            container(body: [1, 100, 0]), "the container's size", CodecLimits(containerBytes: 20))
        expectRefusal(container(body: [1, 100, 0]), "the body size", CodecLimits(bodyBytes: 2))
    }

    @Test func everyFieldIsChecked() {
        let head: [UInt8] = [1, 100, 1, 0, 100, 0]
        expectRefusal(container(body: [1, 100, 1, 1, 100, 0]), "the update itself speaks of 1 tensors")
        expectRefusal(container(body: [1, 100, 1, 0, 99, 0]), "it has 99 elements, the model's 100")
        expectRefusal(container(body: [1, 100, 1, 0, 100, 1]), "counts 99 alive elements, the mask 100")
        for form: [UInt8] in [[32, 0], [5, 0], [0, 12], [8, 0], [8, 7], [16, 3], [16, 11], [7, 3]] {
            expectRefusal(container(body: head + form), "a record's form")
        }
        expectRefusal(container(body: head + [1, 0, 0]), "is 0")
        expectRefusal(container(body: head + [1, 0, 100]), "a count of sent values")
        expectRefusal(container(body: head + [4, 0, 0]), "a count of sent values")
        // All of a last block is what dense would be for.
        expectRefusal(container(body: head + [4, 0, 0xff, 0x1f]), "a count of sent values")
        expectRefusal(
            container(body: head + [1, 0, 3] + [UInt8](repeating: 0, count: 13)), "has not exactly 3 bits set")
        expectRefusal(
            container(body: head + [2, 0, 3, 31, 1, 0]),
            "the Rice parameter of the positions at byte 62 of the update is 31")
        expectRefusal(container(body: head + [2, 0, 3, 5, 14]), "the length of the positions")
        expectRefusal(
            container(body: head + [2, 0, 3, 5, 12] + [UInt8](repeating: 0, count: 20)), "take more than 13 bytes")
        expectRefusal(container(body: head + [0, 1, 127]), "an exponent at byte 61 of the update is 127")
        expectRefusal(container(body: head + [0, 1, 0x82]), "an exponent at byte 61 of the update is -126")
        expectRefusal(container(body: head + [0, 3, 0, 0]), "a block size at byte 62 of the update is 0")
        expectRefusal(container(body: head + [0, 3, 0, 100, 0, 0x80]), "a scale")
        expectRefusal(container(body: head + [0, 3, 0, 100, 0, 0x7c]), "a scale")
        expectRefusal(container(body: head + [8, 3, 0, 100, 0, 0, 128]), "a floor at byte 65 of the update is 128")
        expectRefusal(
            container(body: head + [8, 3, 0, 100, 0, 0, 0, 8]),
            "the Rice parameter of the values at byte 66 of the update is 8")
        expectRefusal(container(body: head + [0, 3, 0, 100, 0, 0, 1]), "within the values")
        expectRefusal(container(body: head + [0, 10, 0, 100, 0, 0, 16]), "a count of levels")
        expectRefusal(container(body: head + [0, 10, 0, 100, 0, 0, 0, 0, 0x7c]), "a level")
        let levels: [UInt8] = head + [0, 10, 0, 100, 0, 0x3c, 1, 0, 0, 0, 0x3c]
        expectRefusal(container(body: levels + [2] + [UInt8](repeating: 0, count: 49)), "is no level of the 2")
        let int8: [UInt8] = head + [0, 3, 0, 100, 0, 0x3c]
        expectRefusal(container(body: int8 + [0x80] + [UInt8](repeating: 0, count: 99)), "is below -127")
        for (format, bits, bytes) in [(4, 6, 75), (5, 4, 50), (6, 3, 38)] {
            let head = head + [0, UInt8(format), 0, 100, 0, 0x3c]
            let lowest = UInt8(1 << (bits - 1))
            expectRefusal(
                container(body: head + [lowest] + [UInt8](repeating: 0, count: bytes - 1)), "is below -\(lowest - 1)")
        }
        let int3: [UInt8] = head + [0, 6, 0, 100, 0, 0x3c]
        expectRefusal(container(body: int3 + [UInt8](repeating: 0, count: 37) + [0x10]), "have spare bits set")
        expectRefusal(container(body: int8 + [UInt8](repeating: 0, count: 101)), "1 bytes follow")
    }

    @Test func placesInBlocksMustRiseAndStayInside() {
        // 166 of a block of 4,096 are 5 of 100.
        let head: [UInt8] = [1, 100, 1, 0, 100, 0, 4, 0, 0xa6, 0x01]
        func places(_ places: [UInt16]) -> [UInt8] {
            let bits = places.flatMap { place in (0..<12).map { UInt8(place >> UInt16($0) & 1) } }
            return stride(from: 0, to: bits.count, by: 8).map { start in
                bits[start..<min(start + 8, bits.count)].enumerated().reduce(0) { $0 | $1.element << UInt8($1.offset) }
            }
        }
        let values = [UInt8](repeating: 0, count: 20)
        #expect(throws: Never.self) {
            try UpdateReader(container(body: head + places([0, 1, 50, 98, 99]) + values), layout: Self.layout)
        }
        expectRefusal(container(body: head + places([0, 1, 1, 98, 99]) + values), "do not rise")
        expectRefusal(container(body: head + places([9, 1, 50, 98, 99]) + values), "do not rise")
        expectRefusal(container(body: head + places([0, 1, 50, 98, 100]) + values), "do not rise")
        var spare = places([0, 1, 50, 98, 99])
        spare[7] |= 0x10
        expectRefusal(container(body: head + spare + values), "have spare bits set")
    }

    @Test func nonFiniteValuesAreRefusedByName() {
        let head: [UInt8] = [1, 100, 1, 0, 100, 0]
        let nan: [UInt8] = [0, 0, 0xc0, 0x7f]
        expectRefusal(
            container(body: head + [0, 0] + [UInt8](repeating: 0, count: 396) + nan), "tensor 'x' holds an infinity")
        let half: [UInt8] = [0, 0x7c]
        expectRefusal(
            container(body: head + [0, 1, 0] + [UInt8](repeating: 0, count: 198) + half),
            "tensor 'x' holds an infinity")
        // A finite scale whose product with 127 is not.
        let overflow: [UInt8] = [0, 3, 112, 100, 0xff, 0x7b] + [UInt8](repeating: 127, count: 100)
        expectRefusal(container(body: head + overflow), "tensor 'x' holds an infinity")
    }

    @Test func headersAreChecked() {
        let good = container(body: [1, 100, 0])
        #expect(throws: Never.self) { try UpdateReader(good, layout: Self.layout) }
        func changed(_ place: Int, _ byte: UInt8) -> [UInt8] {
            var bytes = good
            bytes[place] = byte
            return bytes
        }
        expectRefusal(changed(0, 0), "not an update")
        expectRefusal(changed(4, 1), "version 1")
        expectRefusal(changed(5, 0), "the kind at byte 6 of the update is 0")
        expectRefusal(changed(6, 2), "the packing")
        expectRefusal(changed(7, 2), "the flags")
        expectRefusal(changed(40, 1), "mask epoch 1 where 0")
        expectRefusal(changed(44, 4), "ends at byte 55")
        expectRefusal(changed(44, 2), "1 bytes follow")
        expectRefusal([], "ends at byte 0")
    }

    @Test func maskSectionsAreChecked() {
        let epochs: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0]
        func refuse(_ section: [UInt8], _ wanted: String) {
            expectRefusal(container(body: [1, 100] + section, carriesMasks: true), wanted)
        }
        refuse([1, 0, 0, 0, 0, 0, 0, 0, 0], "mask epoch 1 where 0")
        refuse([0, 0, 0, 0, 5, 0, 0, 0, 0, 0], "mask epoch 0 where 5")
        refuse(epochs + [2], "the count of mask changes")
        refuse(epochs + [1, 0, 100, 5], "a mask's form")
        refuse(epochs + [1, 0, 100, 8], "a mask's form")
        refuse(epochs + [1, 0, 100, 1, 101], "a mask's bit count")
        refuse(epochs + [1, 0, 100, 1, 99] + [UInt8](repeating: 0, count: 13), "99 bits for 100 positions")
        refuse(epochs + [1, 0, 99, 0], "its mask covers 99 of 100")
        refuse(epochs + [1, 1, 100, 0], "the model has 1 tensors")
        refuse(epochs + [1, 0, 100, 1, 100] + [UInt8](repeating: 0xff, count: 13), "spare bits")
        refuse(epochs + [1, 0, 100, 2, 100, 101], "a mask's count of gaps")
        refuse(epochs + [1, 0, 100, 2, 100, 9, 0, 1, 0xff], "has not exactly its numbers")
        refuse(epochs + [1, 0, 100, 2, 100, 1, 0, 2, 1, 0], "has not exactly its numbers")
        refuse(epochs + [1, 0, 100, 2, 100, 1, 0, 1, 3], "has not exactly its numbers")
        refuse(epochs + [1, 0, 100, 4, 100, 0], "the length of a mask")
        refuse(epochs + [1, 0, 100, 4, 100, 2, 0xff, 0xff], "is not valid LZ4")
    }
}
