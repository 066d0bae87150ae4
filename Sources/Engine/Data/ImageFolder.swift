import Tensors

/// Images in folders by class, decoded when they are asked for.
///
/// Classes are the names of folders, in the order of their bytes; so are the images of a class. A folder `train` makes the
/// sets those of `train` and `test`; otherwise the classes stand in the folder itself and a tenth is held out.
struct ImageFolder: SampleRows {
    let classNames: [String]
    /// By row.
    let labels: [Int64]
    /// One image's: `[channels, height, width]`.
    let sampleShape: Shape
    /// Whether the files hold a test set of their own.
    let hasTest: Bool
    let elementType = ElementType.uint8
    private let root: String
    private let names: [String]
    private let resizes: Bool
    private let decoders = ImageDecoders()

    /// The largest image file, in bytes.
    static let fileByteLimit = 256 << 20
    /// Files tried to learn the size of all.
    static let sizeTries = 100

    var count: Int { names.count }

    /// Lists the files; none is decoded.
    /// - Throws: `DataError`.
    init(_ spec: DataSpec) throws(DataError) {
        let isTest = spec.split == .test
        let folder = spec.path
        hasTest = FileBytes.isFolder("\(folder)/train")
        if !hasTest, FileBytes.isFolder("\(folder)/test") {
            throw .unusableArray(place: folder, reason: "there is a folder 'test' but none 'train'")
        }
        let classRoot = hasTest ? "\(folder)/train" : folder
        classNames = try Self.folders(in: classRoot)
        guard !classNames.isEmpty else {
            throw .unusableArray(place: classRoot, reason: "there are no folders: one for each class is needed")
        }
        root = hasTest && isTest ? "\(folder)/test" : classRoot
        if hasTest, isTest {
            let known = classNames
            for name in try Self.folders(in: root) where !known.contains(name) {
                throw .unusableArray(place: "\(root)/\(name)", reason: "there is no class '\(name)' in \(classRoot)")
            }
        }
        var (names, labels): ([String], [Int64]) = ([], [])
        for (label, name) in classNames.enumerated() where !isTest || FileBytes.isFolder("\(root)/\(name)") {
            let images = try Self.entries(of: "\(root)/\(name)").filter(Self.isImage)
            guard !images.isEmpty else {
                throw .unusableArray(place: "\(root)/\(name)", reason: "the class has no .jpg, .jpeg or .png file")
            }
            names += images
            labels += repeatElement(Int64(label), count: images.count)
        }
        self.names = names
        self.labels = labels
        resizes = spec.size != nil
        let size: DataSpec.ImageSize
        if let given = spec.size {
            size = given
        } else {
            size = try Self.firstSize(
                of: zip(names, labels).prefix(Self.sizeTries).map { [root, classNames] in
                    "\(root)/\(classNames[Int($1)])/\($0)"
                }, place: root)
        }
        sampleShape = [spec.channels ?? 3, size.height, size.width]
    }

    func path(of row: Int) -> String { "\(root)/\(classNames[Int(labels[row])])/\(names[row])" }

    func read(_ rows: Range<Int>, into target: UnsafeMutableRawBufferPointer) throws(SampleFault) {
        let size = rowByteCount
        for (place, row) in rows.enumerated() {
            let image = UnsafeMutableRawBufferPointer(rebasing: target[place * size..<(place + 1) * size])
            let path = path(of: row)
            let bytes: [UInt8]
            do throws(TensorError) { bytes = try FileBytes.read(path: path, byteLimit: Self.fileByteLimit) } catch {
                throw SampleFault(name: path, reason: error.description)
            }
            try decoders.borrow { (decoder) throws(SampleFault) in
                do throws(ImageDecoder.Fault) {
                    try decoder.decode(bytes, shape: sampleShape, resizes: resizes, into: image)
                } catch {
                    throw SampleFault(name: path, reason: error.reason, isFatal: error.isAboutSize)
                }
            }
        }
    }

    private static func firstSize(of paths: [String], place: String) throws(DataError) -> DataSpec.ImageSize {
        let decoder = ImageDecoder()
        var first: String?
        for path in paths {
            do {
                let header = try decoder.header(FileBytes.read(path: path, byteLimit: fileByteLimit))
                guard max(header.height, header.width) <= DataSpec.ImageSize.limit else {
                    first = first ?? "\(path) has a side above \(DataSpec.ImageSize.limit) pixels"
                    continue
                }
                return DataSpec.ImageSize(height: header.height, width: header.width)
            } catch let fault as ImageDecoder.Fault { first = first ?? "\(path): \(fault.reason)" } catch {
                first = first ?? "\(error)"
            }
        }
        let fault = first ?? "there are no images"
        throw .unusableArray(place: place, reason: "no image tells the size of all, give size=HEIGHTxWIDTH; \(fault)")
    }

    private static func isImage(_ name: String) -> Bool {
        let end = name.lowercased()
        return !name.hasPrefix(".") && (end.hasSuffix(".jpg") || end.hasSuffix(".jpeg") || end.hasSuffix(".png"))
    }

    private static func folders(in path: String) throws(DataError) -> [String] {
        try entries(of: path).filter { !$0.hasPrefix(".") && FileBytes.isFolder("\(path)/\($0)") }
    }

    private static func entries(of path: String) throws(DataError) -> [String] {
        do throws(TensorError) { return try FileBytes.names(inFolder: path) } catch { throw .file(error) }
    }
}
