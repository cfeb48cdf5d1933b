import json

from markerremover.inference import weights_card


def test_a_card_with_a_former_key_is_read_under_the_present_one(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(dict.fromkeys(weights_card.CARD_KEYS, 1) | {"beside_sign": 0.3}))
    card = weights_card.parse_card(tmp_path / "a.json")
    assert card["beside_marker"] == 0.3 and "beside_sign" not in card
