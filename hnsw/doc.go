// Package hnsw keeps hierarchical navigable small world graphs (Malkov and
// Yashunin, "Efficient and robust approximate nearest neighbor search using
// Hierarchical Navigable Small World graphs", 2016) over float32 vectors.
//
// A slot is one version of one point; Slots says which slots a reader may see.
// A Graph holds a vector and lists of neighbours for some of the slots. It knows
// nothing of point ids, payloads or files.
//
// Invariants:
//
//  1. One writer at a time calls Alloc, Retire, Publish, Stage and Link. Readers
//     are any number and take no lock.
//  2. Memory that a reader can reach never moves: arenas grow by whole chunks,
//     and a table of chunks is replaced, never changed.
//  3. A slot's vector and its own lists are written before the first list that
//     names it. All words of lists are read and written atomically. A list that
//     is being rewritten may show a reader a mix of old and new neighbours; each
//     is a valid slot, so the search only loses or repeats a step.
//  4. What a search returns was visible in its View. Slots that are not (not yet
//     published, or retired) are walked through.
//  5. The same batches in the same order give the same graph, whatever the
//     number of workers: the searches of a batch run on the graph as it was
//     before, and links to one node are made in the batch's order.
//  6. A slot is used again only when no list names it and no View is read that
//     is older than that (see Repair).
//  7. A node can be found from the moment it is linked: one of its neighbours
//     names it. Later links and repairs may cut some off; after a load, at the end
//     of each repair and whenever the graph has grown by half, a connection goes
//     over all lists, and at its end there is a way at level 0 from every node to
//     every living one.
package hnsw
