package hostile

import "github.com/tareml/tare/modelpack"

// links are links that leave the destination, and files that would go through
// links. Bait is the directory that absolute ones lead to.
func links(bait string) []Case {
	var cases []Case
	for _, to := range []badPath{
		{"absolute", bait + "/" + Outside},
		{"absolute, a directory", bait},
		{"above", "../" + Outside},
		{"above, a directory", ".."},
		{"above, later", "sub/../../" + Outside},
		{"the root", "/"},
	} {
		cases = append(cases,
			refused("symbolic link: "+to.name, tarred("", link(typeSymlink, "link", to.path))),
			refused("hard link: "+to.name, tarred("", link(typeHardLink, "link", to.path))),
			refused("symbolic link by a PAX record: "+to.name,
				tarred("", pax(typePAX, "linkpath", to.path), link(typeSymlink, "link", "good.txt"))),
			refused("symbolic link by a GNU entry: "+to.name, tarred("", longLink("link", to.path))),
		)
	}
	return append(cases, throughLinks(bait)...)
}

// throughLinks are what would have to go through a link that came before it.
func throughLinks(bait string) []Case {
	above, there := link(typeSymlink, "link", ".."), link(typeSymlink, "link", bait)
	target := file("link/"+Outside, "x")
	return []Case{
		refused("file through a link above", tarred("", above, target)),
		refused("file through an absolute link", tarred("", there, target)),
		refused("file through two links", tarred("", link(typeSymlink, "a", "."), link(typeSymlink, "a/link", ".."), target)),
		refused("file through a link within", tarred("", dir("real/"), link(typeSymlink, "link", "real"), target)),
		refused("file over a link", tarred("", link(typeSymlink, "link", "../"+Outside), file("link", "x"))),
		refused("file over a hard link", tarred("", link(typeHardLink, "link", "../"+Outside), file("link", "x"))),
		refused("directory through a link", tarred("", above, dir("link/new/"))),
		refused("directory over a link", tarred("", above, dir("link/"), target)),
		refused("link through a link", tarred("", above, link(typeSymlink, "link/new", "x"))),
		refused("hard link through a link", tarred("", above, link(typeHardLink, "copy", "link/"+Outside))),
		refused("hard link to a link", tarred("", link(typeSymlink, "link", "../"+Outside), link(typeHardLink, "copy", "link"), file("copy", "x"))),
		refused("file through a link of an earlier tar layer", tarred("", above), tarred("", target)),
		refused("raw file through a link of an earlier layer", tarred("", there), raw("link/"+Outside, "x")),
		refused("compressed file through a link of an earlier layer", tarred("", above), blobOf(modelpack.TarGzip, "", gzipped(once(archive(target))))),
		refused("raw file through a link of a later layer", raw("link/"+Outside, "x"), tarred("", there)),
		refused("link to itself, with a file in it", tarred("", link(typeSymlink, "link", "link"), target)),
		blameless(refused("raw file through a link of the destination", raw(LinkOut+"/"+Outside, "x"))),
		blameless(refused("tar file through a link of the destination", tarred("", file(LinkOut+"/"+Outside, "x")))),
		blameless(refused("directory through a link of the destination", tarred("", dir(LinkOut+"/new/"), file("plain.txt", "x")))),
	}
}

// LinkOut is a symbolic link that is to stand in the destination, where links
// can be made, and to lead to the directory above it. Nothing may go through it.
const LinkOut = "link-out"

// blameless is a case that fails for what the destination is.
func blameless(c Case) Case {
	c.Want, c.Culprits = Failed, append(c.Culprits, LinkOut)
	return c
}

// badTypes are entries that are neither files nor directories.
func badTypes() []Case {
	var cases []Case
	for flag, name := range map[byte]string{
		'3': "character device", '4': "block device", '6': "FIFO", '7': "contiguous file",
		'D': "GNU directory dump", 'M': "continuation of another volume", 'V': "volume header",
		'N': "old GNU long names", 'Z': "unknown type", 0xff: "type that is no letter",
	} {
		cases = append(cases,
			refused(name, tarred("", entry(flag, "special", ""))),
			refused(name+" under a good path", tarred("model.bin", entry(flag, "model.bin", "x")).declaring(1)))
	}
	return cases
}

// collisions are paths that two things claim.
func collisions() []Case {
	const a, below = "model.bin", "model.bin/below.txt"
	packed := func(f modelpack.Format, name, content string) layer {
		if f == modelpack.Raw {
			return raw(name, content)
		}
		return tarred(name, file(name, content))
	}
	cases := []Case{
		refused("one path twice in a layer", tarred("", file(a, "1"), file(a, "2"))),
		refused("one path twice in a layer, spelled otherwise", tarred("", file(a, "1"), file("./"+a, "2"))),
		refused("one path twice in a layer, as PAX has it", tarred("", file(a, "1"), paxFile(a, "2"))),
		refused("file, then a directory, in a layer", tarred("", file(a, "1"), dir(a+"/"))),
		refused("file, then a file below it, in a layer", tarred("", file(a, "1"), file(below, "2"))),
		refused("directory, then a file, in a layer", tarred("", dir(a+"/"), file(a, "1"))),
		refused("file below, then a file, in a layer", tarred("", file(below, "2"), file(a, "1"))),
		refused("directory entry in one layer, file in another", tarred("", dir(a+"/"), file("plain.txt", "x")), raw(a, "1")),
		refused("file in one layer, directory entry in another", raw(a, "1"), tarred("", dir(a+"/"), file("plain.txt", "x"))),
		refused("one path in a named layer and in a bundle", tarred(a, file(a, "1")), tarred("", file("plain.txt", "x"), file(a, "2"))),
		refused("one path and one content twice", raw(a, "same"), raw(a, "same")),
	}
	for _, first := range []modelpack.Format{modelpack.Raw, modelpack.Tar} {
		for _, second := range []modelpack.Format{modelpack.Raw, modelpack.Tar} {
			pair := string(first) + " and " + string(second)
			cases = append(cases,
				refused("one path in two layers, "+pair, packed(first, a, "1"), packed(second, a, "22")),
				refused("file, then a file below it, "+pair, packed(first, a, "1"), packed(second, below, "2")),
				refused("file below, then a file, "+pair, packed(first, below, "2"), packed(second, a, "1")))
		}
	}
	return cases
}
