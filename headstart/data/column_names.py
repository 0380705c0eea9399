"""What columns are called that hold the input, the label, a group, a part, or an id."""

from __future__ import annotations

# Tiers: the first that holds exactly one column decides; one that holds several is a question to the user.
PATH_COLUMNS = (
    *("image_path", "img_path", "image_file", "filepath", "file_path", "image_id", "img_id", "photo_id", "image_name"),
    *("img_name", "photo_path", "photo_name", "picture_path", "image_filename", "image_file_name"),
    *("file_name", "filename", "path", "file"),
)
INPUT_COLUMNS = (
    ("image", "img", "text"),
    ("sentence", "content", "utterance", *PATH_COLUMNS),
    (
        *("message", "review", "tweet", "comment", "question", "document", "body", "query", "prompt"),
        *("description", "photo", "picture", "sms", "email"),
    ),
)
LABEL_COLUMNS = (
    ("label", "labels"),
    (
        *("class", "classes", "class_name", "class_label", "category", "categories", "target", "intent", "y"),
        *("tags", "tag", "sentiment", "topic"),
    ),
)
# A word for each number in "label"; it is what people want to read.
LABEL_NAME_COLUMNS = ("label_name", "label_text", "label_names", "labels_name", "label_str")
GROUP_COLUMNS = ("group", "group_id")
SPLIT_COLUMNS = ("split", "part", "subset", "set")
ID_COLUMNS = {
    *("", "id", "idx", "index", "row", "rowid", "row_id", "row_number", "rownum", "nr", "no", "number", "uid", "uuid"),
    *("guid", "key", "_id", "#", "__index_level_0__", "level_0", "sample_id", "example_id", "item_id", "record_id"),
}
KNOWN_COLUMNS = {name for tier in (*INPUT_COLUMNS, *LABEL_COLUMNS) for name in tier}
