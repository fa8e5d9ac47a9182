
trainBrank0H°êP