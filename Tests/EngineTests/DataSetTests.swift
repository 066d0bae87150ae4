import Tensors
import Testing

#if canImport(Engine)
    @testable import Engine
#else
    @testable import EngineData
#endif

@Suite struct DataSetTests {
    private func writeNpy(_ folder: String, _ inputs: Tensor, _ labels: Tensor) throws {
        try makeFolder(folder)
        try Npy.write(inputs, path: "\(folder)/x.npy")
        try Npy.write(labels, path: "\(folder)/y.npy")
    }

    @Test func idxFoldersLoad() throws {
        try withDataFolder { folder in
            try FileBytes.write(idxFile([3, 2, 2], Array(0..<12)), path: "\(folder)/train-images-idx3-ubyte")
            try FileBytes.write(idxFile([3], [4, 0, 4]), path: "\(folder)/train-labels.idx1-ubyte")
            let set = try loadDataset("idx:\(folder)")
            #expect(set.count == 3 && set.sampleShape == [1, 2, 2] && set.classCount == 5 && set.labels == [4, 0, 4])
            #expect(set.classHistogram() == [1, 0, 0, 0, 2])
            let batch = set.batch([2, 0])
            #expect(batch.inputs == Tensor([8, 9, 10, 11, 0, 1, 2, 3].map { Float($0) / 255 }, shape: [2, 1, 2, 2]))
            #expect(batch.labels == Tensor([4, 4] as [Int64], shape: [2]))
            #expect(set.batch([]).inputs.shape == [0, 1, 2, 2])
            expectRefusal("t10k-images-idx3-ubyte[.gz]") { try loadDataset("idx:\(folder)?split=test") }
            try FileBytes.write(idxFile([2], [4, 0]), path: "\(folder)/train-labels.idx1-ubyte")
            expectRefusal("inputs of shape [3, 1, 2, 2] do not match 2 labels") { try loadDataset("idx:\(folder)") }
        }
    }

    @Test func scaleMeanAndStdApplyPerChannel() throws {
        try withDataFolder { folder in
            try writeNpy(
                folder, Tensor([0, 10, 20, 30] as [UInt8], shape: [1, 2, 2]), Tensor([0] as [UInt8], shape: [1]))
            let floats = try loadDataset("npy:\(folder)?scale=10&mean=1,2&std=2").batch([0]).inputs.floats
            #expect(floats == [-0.5, 0, 0, 0.5])
            expectRefusal("1 or 2 numbers") { try loadDataset("npy:\(folder)?mean=1,2,3") }
        }
    }

    @Test func floatsAreNotScaled() throws {
        try withDataFolder { folder in
            let labels = Tensor(elements: [1, 2] as [Int32], elementType: .int32, shape: [2, 1])
            try writeNpy(folder, Tensor([0.5, 3] as [Float], shape: [2, 1]), labels)
            // Two samples: one is held out for testing.
            let (train, test) = (try loadDataset("npy:\(folder)"), try loadDataset("npy:\(folder)?split=test"))
            #expect(train.count == 1 && test.count == 1 && train.classCount == 3 && test.classCount == 3)
            #expect(Set(train.batch([0]).inputs.floats + test.batch([0]).inputs.floats) == [0.5, 3])
            let half = Tensor(elements: [0x3c00, 0xc000] as [UInt16], elementType: .float16, shape: [2, 1])
            try writeNpy("\(folder)/test", half, labels)
            #expect(try loadDataset("npy:\(folder)?split=test").batch([0, 1]).inputs.floats == [1, -2])
            #expect(try loadDataset("npy:\(folder)").count == 2)
        }
    }

    @Test func heldOutTenthIsDisjointFixedAndUnaffectedBySeed() throws {
        try withDataFolder { folder in
            let path = "\(folder)/d.safetensors"
            var tensors = NamedTensors()
            tensors["x"] = Tensor((0..<100).map { Float($0) }, shape: [100, 1])
            tensors["y"] = Tensor([Int64](repeating: 0, count: 100), shape: [100])
            try Safetensors.write(tensors, path: path)
            let train = try loadDataset("safetensors:\(path)?split=train&seed=1")
            let test = try loadDataset("safetensors:\(path)?split=test&seed=2")
            #expect(train.count == 90 && test.count == 10)
            let all = train.batch(0..<90).inputs.floats + test.batch(0..<10).inputs.floats
            #expect(all.sorted() == (0..<100).map { Float($0) })
            tensors["x.test"] = Tensor([7] as [Float], shape: [1, 1])
            try Safetensors.write(tensors, path: path)
            expectRefusal("'y.test' is missing") { try loadDataset("safetensors:\(path)?split=test") }
            tensors["y.test"] = Tensor([0] as [Int64], shape: [1])
            try Safetensors.write(tensors, path: path)
            #expect(try loadDataset("safetensors:\(path)?split=test").batch([0]).inputs.floats == [7])
            #expect(try loadDataset("safetensors:\(path)").count == 100)
        }
    }

    @Test func shardsAndLimitsPickTheRightSamples() throws {
        try withDataFolder { folder in
            try writeNpy(
                folder, Tensor((0..<100).map { Float($0) }, shape: [100, 1]),
                Tensor((0..<100).map { Int64($0 % 10) }, shape: [100]))
            for query in ["split=train&partition=classes:3", "split=test&partition=classes:3"] {
                let parts = try (1...4).map { try loadDataset("npy:\(folder)?\(query)&shard=\($0)/4") }
                let values = parts.flatMap { $0.batch(0..<$0.count).inputs.floats }
                let whole = try loadDataset("npy:\(folder)?\(query)")
                #expect(values.sorted() == whole.batch(0..<whole.count).inputs.floats)
                for part in parts {
                    #expect(part.batch(0..<part.count).inputs.floats.map { Int64($0) % 10 } == part.labels)
                    #expect(part.classCount == 10)
                }
            }
            let shard = try loadDataset("npy:\(folder)?shard=1/2")
            let few = try loadDataset("npy:\(folder)?shard=1/2&limit=5")
            #expect(few.count == 5)
            #expect(Set(few.batch(0..<5).inputs.floats).isSubset(of: shard.batch(0..<shard.count).inputs.floats))
            #expect(try loadDataset("npy:\(folder)?limit=1000").count == 90)
            expectRefusal("too few for 200 shards") { try loadDataset("npy:\(folder)?shard=1/200") }
        }
    }

    @Test func unusableArraysAreNamed() throws {
        try withDataFolder { folder in
            expectRefusal("cannot read \(folder)/none/x.npy") { try loadDataset("npy:\(folder)/none") }
            func refuse(_ part: String, _ inputs: Tensor, _ labels: Tensor) throws {
                try writeNpy(folder, inputs, labels)
                expectRefusal(part) { try loadDataset("npy:\(folder)") }
            }
            let one = Tensor([0] as [Int64], shape: [1])
            let input = Tensor([0] as [Float], shape: [1, 1])
            try refuse("inputs are int8", Tensor(elements: [0] as [Int8], elementType: .int8, shape: [1]), one)
            try refuse(
                "labels are float64", input, Tensor(elements: [0] as [Double], elementType: .float64, shape: [1]))
            try refuse("'x' is a single number", Tensor([0] as [Float], shape: []), one)
            try refuse("'y' is a single number", input, Tensor([0] as [Int64], shape: []))
            try refuse("do not match 2 labels", input, Tensor([0, 0] as [Int64], shape: [2]))
            try refuse("labels have shape [1, 2]", input, Tensor([0, 0] as [Int64], shape: [1, 2]))
            try refuse("sample 0 has label -1", input, Tensor([-1] as [Int64], shape: [1]))
            try refuse("labels run from 0", input, Tensor([Int64.max], shape: [1]))
            try refuse("empty samples", Tensor(zeros: [1, 0]), one)
            try refuse(
                "'x' of shape [0, 1] holds no samples", Tensor(zeros: [0, 1]), Tensor([] as [Int64], shape: [0]))
            let infinite = Tensor([1, 2, .infinity, 4] as [Float], shape: [2, 2])
            try refuse("not finite", infinite, Tensor([0, 0] as [Int64], shape: [2]))
        }
    }

    @Test func fitIsCheckedAgainstTheModel() throws {
        try withDataFolder { folder in
            try writeNpy(
                folder, Tensor(zeros: [3, 1, 4, 4]), Tensor([1, 7, 9] as [UInt8], shape: [3]))
            try writeNpy("\(folder)/test", Tensor(zeros: [1, 1]), Tensor([0] as [UInt8], shape: [1]))
            let set = try loadDataset("npy:\(folder)")
            try set.checkFits(inputDimensions: [1, 4, 4], classes: 10)
            try set.checkFits(inputDimensions: [nil, nil, 4], classes: nil)
            let shapes = dataErrorMessage { try set.checkFits(inputDimensions: [3, nil, 4], classes: 10) }
            #expect(shapes.contains("samples have shape [1, 4, 4] but the model's input takes [3, ?, 4]"))
            expectRefusal("takes [4, 4]") { try set.checkFits(inputDimensions: [4, 4], classes: 10) }
            let labels = dataErrorMessage { try set.checkFits(inputDimensions: [1, 4, 4], classes: 5) }
            #expect(labels.contains("sample 1 has label 7, outside the model's 5 classes"))
        }
    }

    @Test func shuffledOrdersArePermutationsBySeed() {
        let order = Dataset.shuffledOrder(count: 50, seed: 1)
        #expect(order.sorted() == Array(0..<50))
        #expect(order == Dataset.shuffledOrder(count: 50, seed: 1))
        #expect(order != Dataset.shuffledOrder(count: 50, seed: 2))
        #expect(Dataset.shuffledOrder(count: 0, seed: 1).isEmpty)
    }
}
