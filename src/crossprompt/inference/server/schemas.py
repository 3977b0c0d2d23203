"""Schemas of the JSON API. Their names and fields are part of it."""

from pydantic import BaseModel, ConfigDict, Field

TOP_K = 5
"""Classes in an answer if the request does not say."""


class Asked(BaseModel):
    """Images to classify."""

    model_config = ConfigDict(extra="forbid", strict=True)

    images: list[str] = Field(min_length=1, description="Image files, each encoded in base64.")
    top_k: int = Field(
        default=TOP_K, ge=1, description="Classes to list for every image, at most all."
    )


class Share(BaseModel):
    """A class and its probability."""

    label: str = Field(description="The class's name.")
    probability: float = Field(ge=0, le=1)


class Answer(BaseModel):
    """The prediction for one image."""

    label: str = Field(description="The most probable class.")
    probability: float = Field(ge=0, le=1, description="Of that class.")
    top: list[Share] = Field(description="The most probable classes, best first.")


class Answers(BaseModel):
    """One prediction for every image of the request, in its order."""

    predictions: list[Answer]


class Classes(BaseModel):
    """The classes, and the limits of a request."""

    classes: list[str] = Field(description="Every class, in the classifier's order.")
    max_images: int = Field(description="Images in a request.")
    max_upload_bytes: int = Field(description="Size of a request's body.")
    max_pixels: int = Field(description="Width times height of an image.")
    formats: list[str] = Field(description="Kinds of image files that are decoded.")


class State(BaseModel):
    """State of the server."""

    status: str


class BadImage(BaseModel):
    """An image that cannot be classified."""

    position: int = Field(ge=0, description="In the request, counted from 0.")
    reason: str = Field(description="What is wrong with it.")


class Refused(BaseModel):
    """The reason why a request was not answered."""

    error: str = Field(description="What was found, what was expected, what to do.")
    images: list[BadImage] = Field(default=[], description="The bad images, if any.")
