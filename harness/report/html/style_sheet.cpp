// How does the page look? Light, dark and print from one set of named colours.
#include "harness/report/html/assets.hpp"

namespace chokepoint {

const std::string_view kPageStyle = R"css(
:root{--bg:#fff;--fg:#1b1f24;--soft:#57606a;--line:#d5dbe1;--box:#f5f7f9;--link:#0a58a8;--bad:#b3261e;--good:#e7f4ea;
--s0:#0072b2;--s1:#c45500;--s2:#00805e;--s3:#a3437a;--s4:#8a6100;--s5:#3a7ca5;--s6:#444c56;--s7:#7a4b2a}
@media screen and (prefers-color-scheme:dark){:root{--bg:#0f1419;--fg:#e6edf3;--soft:#a3b0bd;--line:#36404a;--box:#182028;--link:#6cb6ff;--bad:#ff8a80;--good:#14291d;
--s0:#5aa9ff;--s1:#ff9c55;--s2:#3ecf9a;--s3:#e993c6;--s4:#e3b341;--s5:#8fd3ff;--s6:#c4ccd4;--s7:#d0a582}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0 auto;max-width:1180px;padding:0 16px 48px;background:var(--bg);color:var(--fg);font:16px/1.5 system-ui,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;overflow-wrap:anywhere}
h1{font-size:1.7rem;line-height:1.2;margin:.8em 0 .5em}
h2{font-size:1.3rem;margin:2.2em 0 .4em;border-top:1px solid var(--line);padding-top:.9em}
h3{font-size:1rem;margin:.2em 0 .4em}
a{color:var(--link)}
p{margin:.5em 0}
.lead{font-size:1.35rem;line-height:1.35;font-weight:600;max-width:44em}
.follow{font-size:1.08rem;max-width:52em}
.basis{border-left:4px solid var(--s0);padding:.4em .8em;background:var(--box);max-width:58em}
.left-out,figcaption,caption,.small-print{color:var(--soft);font-size:.88rem}
figcaption p{margin:.3em 0}
nav ul{display:flex;flex-wrap:wrap;gap:.2em 1.1em;padding:0;margin:1em 0;list-style:none;font-size:.92rem}
.skip a{position:absolute;left:-9999px}
.skip a:focus{position:static}
:focus-visible{outline:3px solid var(--link);outline-offset:2px}
.panels{columns:2 460px;column-gap:20px}
figure{margin:0 0 20px;padding:12px;border:1px solid var(--line);border-radius:6px;min-width:0;break-inside:avoid}
svg{display:block;width:100%;max-width:600px;height:auto;font:12px system-ui,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;overflow:visible}
svg text{fill:var(--fg);paint-order:stroke;stroke:var(--bg);stroke-width:3px;stroke-linejoin:round}
svg .tick,svg .small{font-size:11px}
svg .tick{fill:var(--soft)}
svg .strong{font-weight:600}
.s0{color:var(--s0)}.s1{color:var(--s1)}.s2{color:var(--s2)}.s3{color:var(--s3)}.s4{color:var(--s4)}.s5{color:var(--s5)}.s6{color:var(--s6)}.s7{color:var(--s7)}
.grid{stroke:var(--line);stroke-width:.7}
.axis{stroke:var(--soft);stroke-width:1}
.one{stroke:var(--fg);stroke-width:1.2;stroke-dasharray:5 3}
.one.bad{stroke:var(--bad)}
.mark{fill:currentColor;stroke:var(--bg);stroke-width:.7}
.stroke{fill:none;stroke:currentColor;stroke-width:1.8}
.open .mark{fill:var(--bg);stroke:currentColor;stroke-width:1.5}
.thin .mark{fill-opacity:.55;stroke:none}
.bad{color:var(--bad)}
.pt:hover .mark,.pt:focus .mark{stroke:var(--fg);stroke-width:2.2}
.pt:focus{outline:none}
.pt:focus .stroke{stroke-width:3.4}
.curve,.roof{fill:none;stroke:currentColor;stroke-width:1.8}
.roof{stroke-width:1.4}
.uncapped{color:var(--fg);stroke-dasharray:6 4}
.band{fill:currentColor;fill-opacity:.16;stroke:none}
.range{stroke:currentColor;stroke-width:2.4;stroke-opacity:.75}
.bars{fill:currentColor;fill-opacity:.8}
.window{fill:var(--good)}
.knee{stroke:currentColor;stroke-width:1.2;stroke-dasharray:3 3}
.price{stroke:currentColor;stroke-width:1.6;stroke-dasharray:9 3}
.cheaper{fill:var(--good)}
.tolerance{fill:var(--good)}
.scroll{overflow-x:auto;margin:.6em 0}
table{border-collapse:collapse;font-size:.88rem;min-width:100%}
caption{text-align:left;padding:.2em 0}
th,td{padding:.28em .6em;border-bottom:1px solid var(--line);text-align:left;vertical-align:top;font-weight:400;overflow-wrap:normal}
tbody th{min-width:11em;max-width:24em}
thead th{font-weight:600;white-space:nowrap;background:var(--box);position:sticky;top:0}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
th button{font:inherit;font-weight:600;color:inherit;background:none;border:0;padding:0;cursor:pointer;text-align:inherit}
th button::after{content:" \2195";color:var(--soft)}
th[aria-sort=ascending] button::after{content:" \2191"}
th[aria-sort=descending] button::after{content:" \2193"}
.bar{display:block;height:7px;width:100%;min-width:120px;max-width:260px;background:var(--line);border-radius:2px}
.bar span{display:block;height:7px;background:var(--s1);border-radius:2px}
details{margin:.5em 0}
summary{cursor:pointer;color:var(--link)}
.script-only{display:none}
.scripted .script-only{display:block}
.scripted form.script-only{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,330px),1fr));gap:6px 24px;background:var(--box);padding:12px;border-radius:6px}
.control{display:grid;grid-template-columns:1fr 6.2em 3.4em;gap:2px 8px;align-items:center;font-size:.92rem}
.control>span:first-child{grid-column:1/-1}
.control input{width:100%;min-width:0;font:inherit;color:inherit;background:var(--bg);border:1px solid var(--line);border-radius:4px;accent-color:var(--link)}
button{font:inherit}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15em 1em;font-size:.92rem}
dt{color:var(--soft)}
dd{margin:0;min-width:0}
#tip{position:fixed;z-index:9;max-width:min(340px,90vw);padding:6px 9px;background:var(--fg);color:var(--bg);border-radius:4px;font-size:.85rem;line-height:1.35;pointer-events:none}
@media print{body{max-width:none;padding:0;font-size:10pt}.panels{columns:2;column-gap:8mm}figure{margin-bottom:6mm;border:0;padding:0}svg{max-width:120mm}h3{break-after:avoid}
nav,#what-if,.script-only,.scripted .script-only,.scripted form.script-only,.skip,#tip,figure details:not([open]){display:none}.scroll{overflow:visible}table{font-size:7.5pt;min-width:0;width:100%}
th,td{padding:.2em .4em;white-space:normal!important;overflow-wrap:anywhere;min-width:4.6em}thead{display:table-header-group}thead th{position:static}th button::after{content:none!important}tr{break-inside:avoid}
h2,section>p{break-after:avoid}h2{margin-top:1.2em}a{color:inherit}}
@media (max-width:520px){body{padding:0 10px 40px}h1{font-size:1.4rem}.lead{font-size:1.15rem}.follow{font-size:1rem}figure{padding:8px}dl{grid-template-columns:1fr}dd{margin-bottom:.4em}}
@media (prefers-contrast:more){:root{--soft:var(--fg);--line:var(--fg)}}
)css";

}  // namespace chokepoint
