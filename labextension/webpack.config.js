// Numbers in the order of use: webpack's own are hashes of paths, different in each folder.
module.exports = { optimization: { moduleIds: "natural", chunkIds: "natural" } };
