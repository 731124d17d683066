"""Inputs in which fuzzing found a bug, one for each bug: tests read them ever since."""

import base64
import zlib
from typing import Final, NamedTuple


class Found(NamedTuple):
    """An input that showed a bug.

    Attributes:
        target: the name of the target.
        what: what happened.
        content: the input.
    """

    target: str
    what: str
    content: bytes


FOUND: Final = (
    Found(
        "kb.db searched",
        "MemoryError: the first row of the schema says that it takes two gigabytes",
        zlib.decompress(
            base64.b85decode(
                "c-rmRF$%&!5J1skRj~06dj~I&1K0#lV39xy5yG}Pc?w-fP7p*SyazK({oA>>x1n^oe~r&a$=5hW)#MysbgGlq`!EOa7tRs@00000zz$tv"
                "`Oih9NezDLUDYiF000000002Mb|0Mu3`_"
            )
        ),
    ),
    Found("rows.csv", "IndexError: two columns without rows", b'"[1, 2]","[3]"\n'),
    Found("rows.csv", "StopIteration: nothing but a line end and a NUL, which is UTF-16", b"\n\0"),
    Found("rows.csv", "StopIteration: nothing but the name of the separator", b"sep=;\n"),
    Found("rows.csv", "csv.Error: a carriage return in the header", b"text,label\rnine,a\n\n\n\nten,b\n"),
    Found(
        "ftool.json of a classifier", "an error of several lines: a string in place of the manifest", b'"\\n"'
    ),
    Found(
        "golden.json of a decoder",
        "ValueError: no answers",
        b'{"source": "bundle", "tolerance": 1, "inputs": [[7]], "outputs": [[1.0]], "tokens": [[7]], "answers": []}',
    ),
    Found(
        "golden.json of a decoder",
        "IndexError: a token id below 0",
        b'{"source": "bundle", "tolerance": 1, "inputs": [[7]], "outputs": [[1.0]], "tokens": [[-99]], '
        b'"answers": [{"text": "a", "token_ids": [7]}]}',
    ),
    Found(
        "rows.jsonl",
        "RecursionError: lists in 900 lists as a label",
        b'{"text": "one", "label": ' + b"[" * 900 + b"]" * 900 + b"}\n",
    ),
    Found(
        "rows.json",
        "OverflowError: a number of 400 digits as a label",
        b'[{"text": "one", "label": 1' + b"0" * 400 + b'}, {"text": "two", "label": 2}]',
    ),
    Found(
        "rows.jsonl",
        "TypeError: a list in place of Prodigy's answer",
        b'{"text": "Ann", "spans": [], "answer": "accept"}\n{"text": "Bob", "spans": [], "answer": []}\n',
    ),
    Found("squad.json", "an error of several lines: a line end in a key", b'{"\\n": [], "data": [1]}'),
    Found(
        "chat_template.jinja", "an error that does not name the bundle: a template that is wrong", b"{% x %}"
    ),
    Found(
        "tokenizer.json of a decoder",
        "Exception of tokenizers: a conversation has a word that the vocabulary lacks, and there is no token for such",
        zlib.decompress(
            base64.b85decode(
                "c-p;G%TB{E5d4+OTq_{ujViu?I|o3ONj6~N*pYWbDNX;K9S4b!J2_=Dws&U7-rXBXT_~-%7|iV=blxu)rnOb&!s{=f|5R-xzEfaDANR&p`aRX9G6"
                "ta_`e)X9?#?L2df3xu8xwZb)-x&US(0l<K$-#}rp9{rMdM@KQt7N$M5WSUx%eS3CgdkPANOj)JtOtmgt`mw^O2vA$u$=(`gPaO$A2*?zPHSd#Ri#"
                "C#N|{3?^vk$e+AFueQDILk!91SSQ2v_;T4s!${Y7ab}i+gvSK0oDVPJ!CaT>hfTJVmFFo1NwZBE1MsxUa4)dVJ-P4Dny8IDK`;wQ3_8+D~?#7`<*"
                "EvGR3~zOK!t1_cO8wo>qxyT3!$psb9ZZ)lVMtvee1no}SnFQj1ViaYe_~yO6$<h^D<Gitc83@em~dwWDB(f@9&t@JsQ^cv4J<MT<rE-kT<C<rQrz"
                "TA*rKG<oSZB}%L-I15!S6hb&LR|E)kq(NqJ-D+(v|#Fj!p~Mk~C{799@XOg*_i"
            )
        ),
    ),
    Found(
        "tokenizer.json of a decoder",
        "more than 5 seconds: one token has the id 2,147,483,648, and the tokenizer was written out",
        zlib.decompress(
            base64.b85decode(
                "c-p;G%Wm5+5d0N`xf-eEsLlgHzo3WSdI$=GrB*Q!iWIn%9oO-{cZUpWRXIl|?GDME(Y{V<Pmyi#>S3X(>y=tAREmQ)Iu+0l&I#7*rm_C{0*Ft|Hi"
                "Z}REa=lo*+#xAIWoZ~@(B?i<=r>LWO?jpdk7J?TJ4wwb)2H@M?jncKEzHt`-jHQxF=(^6GWuadAWEeuO{SQcs}m+gnLHnn+f&cU*;pPC**GfQ+%6"
                "`|Lc@rGh0sDrx`_TrXu*riMr2M@N0Z8j>a`onay|jq|&h`X#2UdiMZE>)EO58r)?jDA?7d&(2xnu^r`&84@>g0Ftqj+@YNN3<4F6VzobTW62N^3@"
                "SXO8%JDuJ{W~9*B~f-qp4l?VkJ-Xpm5wfr{;$DG>-}Hv(hj5am(rvmVwJ6{`nJBi+0=Kyc8~<i+2>ut4!aj8v@Pf%C9l5<N_wY{u%V?J*cvzx!-R"
                "TQ5Tap#J=rejtpanKb6VX3ryLKAo%Mqh0q%V+-~sAZnTa%0){5{cAfapUUc&(A5=Nc%<%^l~5MXYQcF9#K{bd)N&wl}hd(j{"
            )
        ),
    ),
)
