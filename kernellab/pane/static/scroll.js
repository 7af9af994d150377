// Where the rows are: from the scroll bar to a row and back.
//
// Browsers limit an element's height (some to 17.9 million pixels), and wrapped rows have heights that are
// known only once they are drawn. While all rows have one height and fit, the browser scrolls as it
// does. Else the scroll bar says about where, and wheel and keys move by exact pixels from a row.

export const MOST_HEIGHT = 8_000_000;

export class Scroll {
  constructor(port) {
    this.port = port;
    this.row = 18; // height of a row that is not wrapped, px
    this.wrap = false;
    this.count = 0;
    this.place = 0; // own scrolling: the row at the top, and how many of its pixels are above
    this.into = 0;
    this.set = 0; // what the bar was set to here
  }

  get own() {
    return this.wrap || this.count * this.row > MOST_HEIGHT;
  }

  // Height of the whole, as the scroll bar has it.
  get height() {
    return Math.min(this.count * this.row, MOST_HEIGHT);
  }

  get room() {
    return Math.max(0, this.port.scrollHeight - this.port.clientHeight);
  }

  get last() {
    return Math.max(0, this.count * this.row - this.port.clientHeight);
  }

  // The bar was moved, by whatever; whether by the user.
  moved() {
    const { port } = this;
    if (Math.abs(port.scrollTop - this.set) < 1) return false;
    if (!this.own) {
      this.set = port.scrollTop;
      this.place = Math.min(Math.floor(port.scrollTop / this.row), Math.max(this.count - 1, 0));
      this.into = port.scrollTop - this.place * this.row;
      return true;
    }
    this.set = port.scrollTop;
    const share = this.room ? port.scrollTop / this.room : 0;
    if (this.wrap) this.go(Math.floor(share * this.count));
    else this.by(share * this.last - (this.place * this.row + this.into));
    return true;
  }

  // Put a row at the top, some of its pixels above.
  go(place, into = 0) {
    this.place = Math.max(0, Math.min(place, this.count - 1));
    this.into = into;
    if (!this.wrap) this.by(0);
  }

  // Move by pixels. Wrapped rows: the next drawing makes a row of it.
  by(pixels) {
    if (this.wrap) {
      this.into += pixels;
      return;
    }
    const top = Math.max(0, Math.min(this.place * this.row + this.into + pixels, this.last));
    this.place = Math.floor(top / this.row);
    this.into = top - this.place * this.row;
  }

  // Set the bar to where the rows are.
  show(atEnd) {
    const { port } = this;
    let top = this.place * this.row + this.into;
    if (this.own) {
      const share = this.wrap ? this.place / Math.max(this.count, 1) : top / Math.max(this.last, 1);
      top = (atEnd ? 1 : Math.min(share, 1)) * this.room;
      // Not at the very end of the bar while there is more, and the other way round.
      if (!atEnd) top = Math.min(top, Math.max(this.room - 2, 0));
    }
    if (Math.abs(port.scrollTop - top) >= 1) port.scrollTop = top;
    this.set = port.scrollTop;
  }
}
