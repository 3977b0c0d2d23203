"""The frozen backbone: two towers in stages, their checkpoints, tokenizer and image transform."""

from crossprompt.clip.load import load_clip as load_clip
from crossprompt.clip.load import save_clip as save_clip
from crossprompt.clip.model import CLIP as CLIP
from crossprompt.clip.model import CLIPConfig as CLIPConfig
from crossprompt.clip.model import ImageConfig as ImageConfig
from crossprompt.clip.model import TextConfig as TextConfig
from crossprompt.clip.model import initialize as initialize
from crossprompt.clip.preprocess import Preprocess as Preprocess
from crossprompt.clip.text_engine import TextTokens as TextTokens
from crossprompt.clip.text_engine import TokenizedTexts as TokenizedTexts
from crossprompt.clip.tokenizer import Tokenizer as Tokenizer
