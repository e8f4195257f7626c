// Bytes of a broker through the decoder, whole and in pieces: the pieces change nothing, and what
// it holds afterwards is bounded by one frame.
#include <vector>

#include "relay/amqp/codec.hpp"
#include "tests/fuzz/broker_frame.hpp"
#include "tests/unit/described.hpp"

namespace {

using namespace outboxd;
using namespace outboxd::relay::amqp;

struct seen {
  std::vector<std::string> values;
  std::string error;
};

decoder a_decoder(bool tuned) {
  decoder d;
  if (tuned) d.set_frame_max(4096);
  d.open_channel(1);
  d.open_channel(2);
  return d;
}

// Piece sizes: the bytes of `sizes`, over and over; none: everything at once.
seen feed(std::string_view bytes, std::string_view sizes, bool tuned) {
  // A frame may consist of the smallest of nested tables, 8 bytes each. The library keeps what it
  // needed for those and gives larger pieces back.
  const std::size_t most = 12 * (tuned ? 4096u : 131'072u) + 65'536;
  decoder d = a_decoder(tuned);
  seen s;
  for (std::size_t i = 0; !bytes.empty() && s.error.empty(); ++i) {
    const std::size_t step =
        sizes.empty() ? bytes.size() : 1u + static_cast<unsigned char>(sizes[i % sizes.size()]);
    const std::string piece(bytes.substr(0, step));
    bytes.remove_prefix(piece.size());
    std::vector<incoming> found;
    found.reserve(piece.size() / 8 + 1);
    const std::size_t before = fuzz::allocated_bytes();
    const auto error = d.feed(piece, [&](incoming&& value) { found.push_back(std::move(value)); });
    if (error) s.error = std::to_string(error->code) + " " + error->text;
    std::size_t texts = 0;
    for (const incoming& value : found) {
      s.values.push_back(std::visit(describe{}, value));
      texts += s.values.back().capacity() + 1024;
    }
    const std::size_t after = fuzz::allocated_bytes();
    fuzz::ensure(after < before + most + 2 * texts, "what the decoder holds is bounded by a frame");
  }
  return s;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::input in(data, size);
  const std::uint8_t how = in.u8();
  const bool tuned = how & 1, whole_frames = how & 2;
  const std::string sizes = in.bytes(1 + (how >> 5));
  std::string bytes;
  if (whole_frames) {
    while (!in.empty()) bytes += fuzz::next_frame(in);
  } else {
    bytes = in.rest();
  }

  const seen at_once = feed(bytes, {}, tuned), in_pieces = feed(bytes, sizes, tuned);
  fuzz::ensure(at_once.error == in_pieces.error, "pieces change nothing",
               at_once.error + " / " + in_pieces.error);
  fuzz::ensure(at_once.values == in_pieces.values, "pieces change nothing");
  return 0;
}
