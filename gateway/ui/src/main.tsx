import { render } from "preact";
import { App } from "./app";
import { begin } from "./begin";
import "./styles/font.css";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/shell.css";

begin();
const root = document.getElementById("page");
if (root) render(<App />, root);
