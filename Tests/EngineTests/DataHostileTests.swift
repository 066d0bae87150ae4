import Tensors
import Testing

#if canImport(Engine)
    @testable import Engine
#else
    @testable import EngineData
#endif

/// Headers whose extents multiply to nothing because one of them is 0, while the others overflow.
@Suite struct DataHostileTests {
    private static let huge = 1 << 62

    /// A file of no elements.
    private func npy(_ descriptor: String, _ shape: [Int]) -> [UInt8] {
        let tuple = shape.map(String.init).joined(separator: ", ")
        let header = Array("{'descr': '\(descriptor)', 'fortran_order': False, 'shape': (\(tuple),), }\n".utf8)
        return [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(header.count), 0] + header
    }

    private func safetensors(_ tensors: [(name: String, type: String, shape: [Int])]) -> [UInt8] {
        let entries = tensors.map { name, type, shape in
            "\"\(name)\":{\"dtype\":\"\(type)\",\"shape\":\(shape),\"data_offsets\":[0,0]}"
        }
        let header = Array("{\(entries.joined(separator: ","))}".utf8)
        return (0..<8).map { UInt8(truncatingIfNeeded: header.count >> (8 * $0)) } + header
    }

    @Test func arraysWithoutElementsAreRefusedWhateverTheirOtherExtents() throws {
        try withDataFolder { folder in
            let inputs = Tensor([1] as [Float], shape: [1, 1])
            try FileBytes.write(npy("<f4", [0, Self.huge, 4]), path: "\(folder)/x.npy")
            try Npy.write(Tensor([0] as [Int64], shape: [1]), path: "\(folder)/y.npy")
            expectRefusal("'x' of shape [0, \(Self.huge), 4] holds no samples") { try loadDataset("npy:\(folder)") }
            try Npy.write(inputs, path: "\(folder)/x.npy")
            // The product of the last overflows before its 0, so that reading already refuses it.
            for (shape, reason) in [
                ([0, Self.huge, 4], "holds no samples"), ([1, Self.huge, 0], "holds empty samples"),
                ([1, Self.huge, 4, 0], "is invalid"),
            ] {
                try FileBytes.write(npy("<f4", shape), path: "\(folder)/y.npy")
                expectRefusal(reason) { try loadDataset("npy:\(folder)") }
            }
        }
    }

    @Test func safetensorsWithoutElementsAreRefusedToo() throws {
        try withDataFolder { folder in
            let path = "\(folder)/a.safetensors"
            for (x, y, reason) in [
                ([0, Self.huge, 4], [0], "'x' of shape"), ([1, Self.huge, 4, 0], [0], "'x' has invalid shape"),
                ([0, 1], [1, Self.huge, 0], "'x' of shape"),
            ] {
                try FileBytes.write(safetensors([("x", "F32", x), ("y", "F32", y)]), path: path)
                expectRefusal(reason) { try loadDataset("safetensors:\(path)") }
            }
        }
    }

    @Test func imagesWithoutElementsAreRefusedToo() throws {
        try withDataFolder { folder in
            let most = Int(UInt32.max)
            try FileBytes.write(idxFile([0, most, most, most], []), path: "\(folder)/train-images-idx4-ubyte")
            try FileBytes.write(idxFile([0], []), path: "\(folder)/train-labels-idx1-ubyte")
            expectRefusal("holds no samples") { try loadDataset("idx:\(folder)") }
        }
    }

    @Test func rowsOfAnEmptyArrayHaveNoBytes() throws {
        try withDataFolder { folder in
            try FileBytes.write(npy("<f4", [0, Self.huge, 4]), path: "\(folder)/x.npy")
            #expect(try ArrayFile.npy(path: "\(folder)/x.npy").rowByteCount == 0)
            try Npy.write(Tensor(zeros: [2, 3, 4]), path: "\(folder)/x.npy")
            #expect(try ArrayFile.npy(path: "\(folder)/x.npy").rowByteCount == 48)
        }
    }
}
